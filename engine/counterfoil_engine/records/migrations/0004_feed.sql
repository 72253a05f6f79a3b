-- The feed: what stores answered, how old numbers were when they were confirmed, and what is kept of lines that go.

-- When what a number rests on last changed at its owner; a sale or a rule that changes the number leaves it.
alter table ats add column changed_as_of {time};

-- The number's changed_as_of, as the store confirmed it.
alter table store_writes add column as_of {time};
create index store_writes_store on store_writes (store, id);

-- What a store sold of a SKU by order lines that are kept no more; said: as in stock_names.
create table stock_sold (
  store text not null,
  said text not null,
  sku_key text not null,
  units bigint not null,
  primary key (store, said)
);
create index stock_sold_sku on stock_sold (store, sku_key);
create index stock_moves_line on stock_moves (store, order_id, line);
create index stock_moves_counted on stock_moves (counted_at);

-- How many numbers a store confirmed on a day (UTC), by how old they were; bucket: as domain/freshness.py counts them.
create table freshness (
  store text not null,
  day text not null,
  bucket integer not null,
  writes bigint not null,
  primary key (store, day, bucket)
);

-- Where a store had another quantity or status than was written: somebody edited it.
create table stock_drift (
  store text not null,
  sku_key text not null,
  at {time} not null,
  sku text not null,
  expected bigint not null,
  found bigint,
  status text,
  primary key (store, sku_key, at)
);
