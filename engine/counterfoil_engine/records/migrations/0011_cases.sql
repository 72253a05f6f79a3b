-- Cases that end: whose they are, what people did about them, and what they corrected of an order's facts.

-- party: who is at the far end of it. owner: who looks after it. snoozed_until: out of the way until then.
alter table cases add column party text not null default 'store';
alter table cases add column owner text;
alter table cases add column snoozed_until {time};
update cases set party = coalesce((select max(party) from intents where key = about_key), 'erp') where origin in ('post', 'doubled');
update cases set party = 'gateway' where origin = 'facts' and substr(about_key, 1, 8) = 'gateway ';
update cases set party = 'wms' where origin = 'facts' and substr(about_key, 1, 4) = 'wms ';
update cases set party = 'tax' where origin = 'facts' and substr(about_key, 1, 4) = 'tax ';

-- What people did about a case, in their order. Rows are only ever added.
create table case_notes (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  case_id bigint not null references cases (id),
  at {time} not null,
  who text not null,
  what text not null,
  said text not null
);
create index case_notes_case on case_notes (case_id, id);

-- A body that people put beside the one that an event brought, which stays. It counts from its arrival on (R2), and for
-- as long as that event's body is the newest of its subject. Rows are only ever added.
create table corrections (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  store text not null,
  subject text not null,
  event_id text not null,
  type text not null,
  arrival bigint not null,
  body {bytes} not null,
  body_hash text not null,
  proposed_by text not null,
  approved_by text not null,
  reason text not null,
  at {time} not null
);
create index corrections_subject on corrections (subject, id);

-- only postgresql
create function only_grows() returns trigger language plpgsql as $$ begin raise exception 'Its rows are only ever added.'; end $$;
create trigger case_notes_stay before update or delete or truncate on case_notes for each statement execute function only_grows();
create trigger corrections_stay before update or delete or truncate on corrections for each statement execute function only_grows();
-- end
