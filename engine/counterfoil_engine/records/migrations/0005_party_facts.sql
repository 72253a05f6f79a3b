-- Facts of other parties: what each WMS, gateway and tax service said, what of it was kept out, and how far it was read.

-- A fact never changes, but for the subject that it turns out to belong to. arrival: its place in the order of commit over
-- all facts, given anew where it comes to another subject: a look has seen what its subject had up to an arrival (R2).
-- body: the bytes as they came; body_hash: of what they say, however it is written.
create table party_facts (
  party text not null,
  source text not null,
  id text not null,
  subject text not null,
  kind text not null,
  occurred_at {time} not null,
  received_at {time} not null,
  arrival bigint not null,
  body {bytes} not null,
  body_hash text not null,
  transaction_id text,
  authorisation_id text,
  primary key (party, source, id)
);
create index party_facts_subject on party_facts (subject, arrival);
create index party_facts_transaction on party_facts (source, transaction_id) where transaction_id is not null;
create index party_facts_authorisation on party_facts (source, authorisation_id) where authorisation_id is not null;

-- Facts that break their contract, or whose id stands for another content already: kept, and not used.
create table party_facts_kept_out (
  party text not null,
  source text not null,
  body_hash text not null,
  id text,
  received_at {time} not null,
  body {bytes} not null,
  reason text not null,
  primary key (party, source, body_hash)
);

-- caught_up_at: when the source last had nothing more to say.
create table source_cursors (
  party text not null,
  source text not null,
  cursor text,
  read_at {time},
  caught_up_at {time},
  primary key (party, source)
);

-- Which order a transaction belongs to. source: the gateway whose fact says so; '': the order itself.
-- subject: null while nobody has said it. awaited: facts of a gateway wait for an order that says it.
create table transactions (
  transaction_id text not null,
  source text not null,
  subject text,
  awaited boolean not null default false,
  primary key (transaction_id, source)
);

-- How far the facts of other parties had come in that a look was made on.
alter table looks add column party_arrival bigint not null default 0;

-- What an intent waits for may be another party's.
update waits set on_key = 'result ' || entity || ' ' || key where key is not null;

-- Orders that came before this table.
-- only sqlite
insert or ignore into transactions (transaction_id, source, subject)
  select json_extract(cast(body as text), '$.order.transaction_id'), '', subject from events
  where type = 'counterfoil.order.v1' and verdict = 'stored' and body is not null and json_valid(cast(body as text))
    and json_extract(cast(body as text), '$.order.transaction_id') <> '' order by epoch, n;
-- end
-- only postgresql
insert into transactions (transaction_id, source, subject)
  select said.transaction_id, '', said.subject from (
    select convert_from(body, 'UTF8')::json->'order'->>'transaction_id' as transaction_id, subject, epoch, n from events
    where type = 'counterfoil.order.v1' and verdict = 'stored' and body is not null
      and position('\u0000' in convert_from(body, 'UTF8')) = 0) said
  where said.transaction_id <> '' order by said.epoch, said.n
  on conflict do nothing;
-- end
