-- Watched from outside: what objectives judged, who was told of what, daily figures, and by which trace an order came.

-- Of what an objective judged within five minutes from at, how much was good. Older than its window it is forgotten.
create table slo_counts (
  slo text not null,
  at {time} not null,
  good bigint not null,
  total bigint not null,
  primary key (slo, at)
);

-- Up to when an objective has judged: nothing is judged twice, nor left out while nobody looked.
create table slo_judged (
  slo text primary key,
  until {time} not null
);

-- One alert of an objective stands at a time.
create table alerts (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  slo text not null,
  severity text not null check (severity in ('page', 'ticket')),
  cause text not null,
  runbook text not null,
  opened_at {time} not null,
  resolved_at {time}
);
create unique index alerts_standing on alerts (slo) where resolved_at is null;

-- What is to be told of it, to whom; sent_at null: it has not come through yet, or was given up after many tries.
create table alert_messages (
  alert_id bigint not null references alerts (id),
  what text not null check (what in ('opened', 'resolved')),
  sink text not null,
  made_at {time} not null,
  due_at {time} not null,
  tries integer not null default 0,
  sent_at {time},
  gave_up_at {time},
  error text,
  primary key (alert_id, what, sink)
);
create index alert_messages_waiting on alert_messages (due_at) where sent_at is null and gave_up_at is null;

-- A figure of a day (UTC): numerator over denominator, so that days and stores add up. store '': what belongs to none.
-- mode: preview where the store's ERP switch didn't write on that day, else on.
create table kpis (
  kpi text not null,
  store text not null,
  day text not null,
  numerator bigint not null,
  denominator bigint not null,
  mode text not null check (mode in ('preview', 'on')),
  primary key (kpi, store, day)
);
create index kpis_day on kpis (day);

-- The days that are measured, those with nothing to measure too.
create table kpi_days (
  day text primary key
);

-- The trace by which a subject was last heard of, while traces are exported; parent: the span that took it in.
create table traces (
  subject text primary key,
  traceparent text not null,
  at {time} not null
);
create index traces_at on traces (at);

-- What is judged is found by when it happened. In the order of time anyway, so on PostgreSQL a few pages tell.
-- only postgresql
create index events_received on events using brin (received_at) with (pages_per_range = 16);
create index intents_made on intents using brin (made_at) with (pages_per_range = 16);
-- end
-- only sqlite
create index events_received on events (received_at);
create index intents_made on intents (made_at);
-- end
create index cases_opened on cases (opened_at);
create index cases_resolved on cases (resolved_at) where resolved_at is not null;
