-- Looks and posting: what was looked at, what is intended, what has a result, who waits, and who may write.

create table looks (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  subject text not null,
  as_of {time} not null,
  arrival bigint not null,
  gen bigint not null,
  rules_version text not null,
  code_version text not null,
  reading text not null,
  steps {json} not null
);
create index looks_subject on looks (subject, id);

-- The last reading of each subject: a line of status, never a source of truth.
create table subjects (
  subject text primary key,
  store text not null,
  reading text not null,
  reason text not null,
  currency text not null,
  total_minor bigint not null,
  unproven integer not null,
  proofs {json} not null,
  waits {json} not null,
  again_at {time},
  looked_at {time} not null,
  look_id bigint not null,
  rules_version text not null
);
create index subjects_store on subjects (store, reading);
create index subjects_again on subjects (again_at) where again_at is not null;

-- What a crash of a look leaves to say, once the subject parks.
create table failures (
  subject text primary key,
  at {time} not null,
  error text not null
);

-- subject: whose lane it goes in; about: the subject whose look made it, which its result marks due.
create table intents (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  party text not null,
  entity text not null,
  key text not null,
  slot text not null,
  kind text not null,
  store text not null,
  subject text not null,
  about text not null,
  class text not null,
  bucket integer not null,
  state text not null,
  reverses text,
  content_hash text not null,
  amount_minor bigint not null,
  currency text not null,
  book_minor bigint not null,
  day text not null,
  after {json} not null,
  document {json},
  group_id text,
  look_id bigint,
  rules_version text not null,
  made_at {time} not null,
  ever_sent integer not null,
  released integer not null,
  attempts integer not null,
  sent_at {time},
  due_at {time} not null,
  number text,
  posting_date text,
  result_at {time},
  origin text not null
);
create unique index intents_key on intents (party, entity, key) where state <> 'withdrawn';
create index intents_slot on intents (slot);
create index intents_subject on intents (subject);
create index intents_about on intents (about);
create index intents_ready on intents (party, entity, class, id) where state = 'ready';
create index intents_sent on intents (party, entity, id) where state = 'sent';
create index intents_group on intents (group_id) where group_id is not null;
create index intents_reversals on intents (entity, made_at) where reverses is not null;

-- waiter: `subject <subject>` or `intent <id>`; on_key: `watermark <store>` or `result <party> <entity> <key>`.
create table waits (
  on_key text not null,
  waiter text not null,
  party text,
  entity text,
  key text,
  epoch bigint,
  n bigint,
  since {time} not null,
  primary key (on_key, waiter)
);
create index waits_waiter on waits (waiter);

create table counters (
  name text primary key,
  value bigint not null
);

create table journal (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  party text not null,
  entity text not null,
  document text not null,
  about text not null,
  posting_date text not null,
  role text not null,
  currency text not null,
  book_currency text not null,
  debit_minor bigint not null,
  credit_minor bigint not null,
  book_debit_minor bigint not null,
  book_credit_minor bigint not null
);
create index journal_role on journal (entity, role);
create index journal_about on journal (about);
create index journal_document on journal (document);

-- origin: look (the dues park), post (a refused posting), engine (a brake, a crash, a conflict of keys).
create table cases (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  subject text not null,
  store text not null,
  origin text not null,
  about_key text,
  category text not null,
  fingerprint text not null,
  cause text not null,
  remedy text not null,
  missing_rows {json} not null,
  money_minor bigint,
  currency text,
  rules_version text,
  opened_at {time} not null,
  seen_at {time} not null,
  resolved_at {time},
  resolution text
);
create unique index cases_open on cases (subject, origin, fingerprint) where resolved_at is null;
create index cases_fingerprint on cases (fingerprint) where resolved_at is null;
create index cases_category on cases (category) where resolved_at is null;

create table breakers (
  party text not null,
  entity text not null,
  state text not null,
  failures integer not null,
  allowance integer not null,
  until {time},
  reason text not null,
  changed_at {time} not null,
  primary key (party, entity)
);

-- holder: who serves the bucket now; still set when nobody does: it was not handed back cleanly.
create table lanes (
  party text not null,
  entity text not null,
  bucket integer not null,
  holder text,
  taken_at {time} not null,
  primary key (party, entity, bucket)
);

create table rules_versions (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  version text not null unique,
  body text not null,
  loaded_at {time} not null,
  loaded_by text not null
);

create table restatements (
  subject text not null,
  slot text not null,
  version text not null,
  moved text not null,
  entity text not null,
  currency text not null,
  standing_minor bigint not null,
  due_minor bigint not null,
  since {time} not null,
  primary key (subject, slot)
);
create index restatements_version on restatements (version);

create table approvals (
  version text primary key,
  approved_at {time} not null,
  approved_by text not null
);

create table brakes (
  entity text primary key,
  tripped_at {time},
  released_at {time},
  reason text not null
);

create table switches (
  store text not null,
  party text not null,
  setting text not null,
  set_at {time} not null,
  set_by text not null,
  primary key (store, party)
);

-- One row: which database this is, where it was made, and whether a person has said that it may write from there.
create table identity (
  one integer primary key,
  id text not null,
  place text not null,
  engine_epoch bigint not null,
  starts bigint not null,
  confirmed integer not null,
  reason text not null,
  written_until {time} not null,
  adopt_since {time}
);

create table adoptions (
  party text not null,
  entity text not null,
  engine_epoch bigint not null,
  since {time} not null,
  adopted_at {time},
  found_count integer not null,
  primary key (party, entity, engine_epoch)
);

create table audit (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  at {time} not null,
  who text not null,
  what text not null,
  detail {json} not null
);
