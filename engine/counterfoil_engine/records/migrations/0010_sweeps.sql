-- Sweeps: runs, what a store's agent is asked for them, breaks with their history, and each order's control amounts.

-- One row for each place where two sides disagreed, for ever. units, amount_minor: what the other side has more than we.
create table breaks (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  sweep text not null check (sweep in ('stock', 'orders', 'erp', 'money')),
  store text not null,
  subject text not null,
  class text not null,
  units bigint,
  amount_minor bigint,
  currency text,
  to_zero boolean not null,
  cause text not null,
  remedy text not null,
  detail {json} not null,
  state text not null check (state in ('open', 'proposed', 'healing', 'healed', 'accepted')),
  policy text not null,
  recurring boolean not null,
  found_at {time} not null,
  seen_at {time} not null,
  changed_at {time} not null
);
create unique index breaks_place on breaks (subject, store, sweep, class);
create index breaks_standing on breaks (store, sweep, state) where state <> 'healed';

-- Only ever added to.
create table break_history (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  break_id bigint not null references breaks (id),
  at {time} not null,
  who text not null,
  what text not null,
  state text not null,
  units bigint,
  amount_minor bigint
);
create index break_history_break on break_history (break_id, id);

-- One run of a sweep of a store. progress: what it has seen so far; cause, remedy: why it failed.
create table sweeps (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  sweep text not null,
  store text not null,
  state text not null check (state in ('running', 'done', 'failed')),
  dry_run boolean not null,
  who text not null,
  started_at {time} not null,
  ended_at {time},
  progress {json} not null,
  cause text,
  remedy text
);
create index sweeps_store on sweeps (store, sweep, id);
create unique index sweeps_running on sweeps (store, sweep) where state = 'running';

-- What a store's agent is asked; sweep_id null: it belongs to no run (orders to be read again).
create table sweep_tasks (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  store text not null,
  sweep_id bigint references sweeps (id),
  kind text not null,
  body {json} not null,
  due_at {time} not null,
  handed_at {time},
  answered_at {time}
);
create index sweep_tasks_waiting on sweep_tasks (store, due_at) where answered_at is null;
create index sweep_tasks_sweep on sweep_tasks (sweep_id) where answered_at is null;

-- Of each order the amounts of its latest fact; day: of creation, UTC, null while no snapshot of it could be read.
-- fact, fact_on: the event that holds the body, so that a fact that is missing shows. is_there: neither draft nor trash
-- nor gone.
create table order_controls (
  store text not null,
  order_id text not null,
  epoch bigint not null,
  n bigint not null,
  fact text not null,
  fact_on date not null,
  day text,
  currency text,
  total_minor bigint,
  refunds_minor bigint,
  tax_minor bigint,
  is_there boolean not null,
  primary key (store, order_id)
);
create index order_controls_day on order_controls (store, day);

-- The place in a store's sequence up to which those amounts are read.
create table order_controls_read (
  store text primary key,
  epoch bigint not null,
  n bigint not null
);
