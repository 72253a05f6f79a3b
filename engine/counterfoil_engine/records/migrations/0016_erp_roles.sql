-- Which ERP of an entity counts, by name, and which one runs beside it; an entity's last row is in force. An entity
-- without a row has one ERP, or its settings' first one.
create table erp_roles (
  entity text not null,
  n integer not null,
  counts text not null,
  beside text,
  is_handing_over integer not null,
  since {time} not null,
  who text not null,
  primary key (entity, n)
);

-- What an ERP that ran beside was given of what stands in the one that counts. state: sent, done or refused.
create table mirrored (
  entity text not null,
  erp text not null,
  key text not null,
  state text not null,
  number text,
  category text,
  cause text,
  remedy text,
  attempts integer not null,
  due_at {time} not null,
  primary key (entity, erp, key)
);
create index mirrored_refused on mirrored (entity, erp, cause) where state = 'refused';
