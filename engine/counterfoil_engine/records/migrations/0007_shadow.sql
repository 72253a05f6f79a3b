-- Rules in shadow: one version at most, by which looks compute beside those in force, and which posts nothing.
create table shadow (
  one integer primary key,
  version text not null,
  body text not null,
  started_at {time} not null,
  started_by text not null,
  stopped_at {time}
);

-- What the last look at each subject found to differ by them; no row where nothing does. differs: slots with both amounts,
-- amounts by role, and what would park, as domain/compare.py has them.
create table shadow_differences (
  subject text primary key,
  version text not null,
  looked_at {time} not null,
  differs {json} not null
);
