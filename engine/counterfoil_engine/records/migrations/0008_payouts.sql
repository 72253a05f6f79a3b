-- Payouts: reports as they came, what is posted that their lines may be, and what people decided of lines.

-- A file as it was taken: whole, once for each source.
create table payout_files (
  source text not null,
  digest text not null,
  name text not null,
  format text not null,
  body {bytes} not null,
  taken_at {time} not null,
  taken_by text not null,
  primary key (source, digest)
);

-- A payout as a file reported it. report: its lines, canonical (JSON). stands: 1 for the one that counts; another content
-- of the same payout is kept beside it. digest: of what it says.
create table payout_reports (
  subject text not null,
  digest text not null,
  source text not null,
  payout text not null,
  file_digest text not null,
  currency text not null,
  paid_on text not null,
  net_minor bigint not null,
  line_count integer not null,
  report {bytes} not null,
  stands integer not null,
  taken_at {time} not null,
  primary key (subject, digest)
);
create unique index payout_reports_stands on payout_reports (subject) where stands = 1;
create index payout_reports_source on payout_reports (source, paid_on);

-- Which posting a line is, where a person said so.
create table payout_decisions (
  subject text not null,
  line text not null,
  slot text not null,
  decided_by text not null,
  decided_at {time} not null,
  primary key (subject, line)
);

-- What of its facts a look at a payout saw (JSON): a later one can compute by other rules over the same (R2).
create table payout_looks (
  look_id bigint primary key references looks (id) on delete cascade,
  seen {json} not null
);

-- Money on gateways' clearings that has a result, as a payout's lines are matched with it. stands: 0 once it is reversed;
-- settled_by: the payout one of whose lines it is. reference: the order's number, plain.
create table postings (
  entity text not null,
  slot text not null,
  intent_id bigint not null,
  source text not null,
  kind text not null,
  currency text not null,
  amount_minor bigint not null,
  day text not null,
  reference text not null,
  stands integer not null,
  settled_by text,
  primary key (entity, slot)
);
create index postings_reference on postings (source, reference) where reference <> '';
create index postings_amount on postings (source, kind, currency, amount_minor);
create index postings_settled on postings (settled_by) where settled_by is not null;

create table posting_ids (
  source text not null,
  id text not null,
  entity text not null,
  slot text not null,
  primary key (source, id, entity, slot)
);

-- Every id that a posting bears or a payout waits for: whoever writes one of both locks its row first, so that neither
-- misses the other (L2).
create table settlement_ids (
  source text not null,
  id text not null,
  primary key (source, id)
);

create table payout_waits (
  source text not null,
  id text not null,
  subject text not null,
  primary key (source, id, subject)
);
create index payout_waits_subject on payout_waits (subject);

-- Money that was posted before these tables.
-- only sqlite
insert into postings (entity, slot, intent_id, source, kind, currency, amount_minor, day, reference, stands)
  select entity, slot, max(id), json_extract(document, '$.body.gateway'),
    case when kind = 'payment' and amount_minor >= 0 then 'charge' when kind in ('payment', 'refund_payment') then 'refund'
      else kind end, currency,
    case when kind = 'refund_payment' or json_extract(document, '$.body.state') = 'opened' then -amount_minor
      else amount_minor end,
    json_extract(document, '$.day'), '', 1
  from intents i where kind in ('payment', 'refund_payment', 'fee', 'dispute') and state = 'done' and reverses is null
    and document is not null and coalesce(json_extract(document, '$.body.state'), '') <> 'lost'
    and not exists (select 1 from intents r where r.party = i.party and r.entity = i.entity
      and r.key = i.key || '/reversal' and r.state = 'done') group by entity, slot;
insert or ignore into posting_ids (source, id, entity, slot)
  select p.source, json_extract(i.document, '$.body.transaction'), p.entity, p.slot from postings p
  join intents i on i.id = p.intent_id where json_extract(i.document, '$.body.transaction') <> '';
-- end
-- only postgresql
insert into postings (entity, slot, intent_id, source, kind, currency, amount_minor, day, reference, stands)
  select distinct on (entity, slot) entity, slot, id, document::json->'body'->>'gateway',
    case when kind = 'payment' and amount_minor >= 0 then 'charge' when kind in ('payment', 'refund_payment') then 'refund'
      else kind end, currency,
    case when kind = 'refund_payment' or document::json->'body'->>'state' = 'opened' then -amount_minor
      else amount_minor end,
    document::json->>'day', '', 1
  from intents i where kind in ('payment', 'refund_payment', 'fee', 'dispute') and state = 'done' and reverses is null
    and document is not null and coalesce(document::json->'body'->>'state', '') <> 'lost'
    and not exists (select 1 from intents r where r.party = i.party and r.entity = i.entity
      and r.key = i.key || '/reversal' and r.state = 'done') order by entity, slot, id desc;
insert into posting_ids (source, id, entity, slot)
  select p.source, i.document::json->'body'->>'transaction', p.entity, p.slot from postings p
  join intents i on i.id = p.intent_id where i.document::json->'body'->>'transaction' <> ''
  on conflict do nothing;
-- end
insert into settlement_ids (source, id) select distinct source, id from posting_ids;
