-- Rules that somebody tries over the orders since a moment: asked by a person, computed beside the scheduler.
create table rule_trials (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  version text not null,
  body text not null,
  since {time} not null,
  asked_by text not null,
  asked_at {time} not null,
  state text not null check (state in ('waiting', 'running', 'done', 'failed')),
  looked_at bigint not null,
  told_at {time} not null,
  result {json},
  cause text,
  remedy text
);
create index rule_trials_open on rule_trials (id) where state in ('waiting', 'running');
