-- Availability: positions of warehouses, what stores lowered for sold lines, and the numbers that follow, by pool and SKU.
-- sku_key: by which SKUs are compared (no outer space, one case, one Unicode form); sku, said: as they were written.

create table positions (
  warehouse text not null,
  sku_key text not null,
  sku text not null,
  on_hand bigint not null,
  allocated bigint not null,
  damaged bigint not null,
  quarantined bigint not null,
  inbound {json} not null,
  as_of {time} not null,
  lines_as_of {time},
  read_at {time} not null,
  primary key (warehouse, sku_key)
);
create index positions_sku on positions (sku_key);

-- What a warehouse held or had shipped for an order's line as of a moment. An older one is kept until the position has
-- passed a newer one: it counts only together with a position that is not before it (A3).
create table stock_held (
  store text not null,
  order_id text not null,
  line text not null,
  warehouse text not null,
  sku_key text not null,
  as_of {time} not null,
  allocated bigint not null,
  shipped bigint not null,
  primary key (store, order_id, line, warehouse, sku_key, as_of)
);
create index stock_held_position on stock_held (warehouse, sku_key);

-- How far each owner's positions were read: its token for what changed since, and by which rules.
create table position_readings (
  owner text primary key,
  token text,
  full_at {time},
  read_at {time} not null,
  rules_version text not null
);

-- How far a store's moves are counted: its basis (A1). held: the next event can't be read, and may hold moves (E11).
-- by_moves_since: when the store's plugin was first heard; orders before that count by their lines' own meta too (A2).
create table stock_stores (
  store text primary key,
  epoch bigint not null,
  n bigint not null,
  held boolean not null default false,
  by_moves_since {time}
);

-- Events that can't be read and for which a later event stands (E11).
create table stock_stood_for (
  store text not null,
  epoch bigint not null,
  n bigint not null,
  primary key (store, epoch, n)
);

create table stock_moves (
  store text not null,
  move_id text not null,
  epoch bigint not null,
  n bigint not null,
  order_id text not null,
  line text,
  stock_id text not null,
  sku_key text not null,
  units bigint not null,
  kind text not null,
  at {time},
  counted_at {time} not null,
  primary key (store, move_id)
);
create index stock_moves_sku on stock_moves (sku_key, counted_at);

-- An order's lines of which stock was lowered. lowered, restocked: sums of its moves; meta: what WooCommerce itself
-- says is lowered, null where moves alone count; net: what is lowered now. is_open: units of it may be reserved.
create table stock_lines (
  store text not null,
  order_id text not null,
  line text not null,
  said text not null,
  sku_key text not null,
  lowered bigint not null,
  restocked bigint not null,
  meta bigint,
  net bigint not null,
  unpaid_since {time},
  completed_at {time},
  is_open boolean not null,
  primary key (store, order_id, line)
);
create index stock_lines_open on stock_lines (sku_key) where is_open;
create index stock_lines_sold on stock_lines (store, sku_key);

-- Which SKU a store's own stands for; rules_version: null until rules were asked.
create table stock_names (
  store text not null,
  said text not null,
  sku_key text not null,
  rules_version text,
  primary key (store, said)
);
create index stock_names_unread on stock_names (store) where rules_version is null;

-- Who marks which pools dirty: a pool's warehouses, and all stores whose pool shares one with it (A4).
create table pool_members (
  kind text not null,
  name text not null,
  pool text not null,
  primary key (kind, name, pool)
);

create table pools (
  pool text primary key,
  version bigint not null default 0,
  publication bigint not null default 0,
  rules_version text,
  counted_on text
);

-- What has to be computed anew. Rows are only ever added and removed, so that writers never wait for the publisher.
create table stock_dirty (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  pool text not null,
  sku_key text not null,
  reason text not null,
  marked_at {time} not null
);
create index stock_dirty_pool on stock_dirty (pool, id);

-- The number of a SKU in a pool, before caps. publication: the one that gave its version.
create table ats (
  pool text not null,
  sku_key text not null,
  sku text not null,
  version bigint not null,
  number bigint not null,
  excluded boolean not null,
  backorders boolean not null,
  silence_hours integer,
  silence_share text not null,
  stock_as_of {time},
  again_at {time},
  publication bigint not null,
  published_at {time} not null,
  primary key (pool, sku_key)
);
create unique index ats_version on ats (pool, version);
create index ats_again on ats (pool, again_at) where again_at is not null;

-- A store's share of a SKU as it was counted, and what was left of it when the number was published (A4).
create table ats_caps (
  pool text not null,
  sku_key text not null,
  store text not null,
  units bigint not null,
  share text not null,
  sold_before bigint not null,
  left_units bigint not null,
  counted_at {time} not null,
  primary key (pool, sku_key, store)
);

-- The basis of each of the pool's stores in the snapshot that a publication was computed from.
create table publications (
  pool text not null,
  id bigint not null,
  at {time} not null,
  basis {json} not null,
  primary key (pool, id)
);

-- The last numbers written into each store, and what it answered.
create table store_writes (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  store text not null,
  sku_key text not null,
  version bigint not null,
  number bigint not null,
  verdict text not null,
  stock bigint,
  reason text,
  at {time} not null
);
create index store_writes_sku on store_writes (sku_key, store, id);
