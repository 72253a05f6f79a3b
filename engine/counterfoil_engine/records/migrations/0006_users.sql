-- People and their tokens, what needs a second person, the audit log as a chain of hashes, and locked periods.

-- A row is never deleted: a name in the audit log stays the same person. token_hash: SHA-256 of a token of 256 random
-- bits. token_by: who had the token made, and so has seen it.
create table users (
  name text primary key,
  role text not null check (role in ('viewer', 'service', 'operator', 'controller', 'admin')),
  token_id text not null unique,
  token_hash text not null,
  token_by text not null,
  token_at {time} not null,
  expires_at {time} not null,
  added_at {time} not null,
  added_by text not null,
  removed_at {time}
);

-- One row, once there were two users at one time: from then on what needs a second person waits for one.
create table four_eyes (
  one integer primary key,
  since {time} not null
);

-- payload: exactly what would be done; payload_hash: of it and of what it is. amounts: currency → minor units, or null.
create table proposals (
-- only sqlite
  id integer primary key autoincrement,
-- end
-- only postgresql
  id bigint generated always as identity primary key,
-- end
  what text not null,
  payload {json} not null,
  payload_hash text not null,
  summary text not null,
  amounts {json} not null,
  state text not null check (state in ('open', 'approved', 'rejected')),
  proposed_by text not null,
  proposed_at {time} not null,
  expires_at {time} not null,
  decided_by text,
  decided_at {time},
  reason text
);
create index proposals_state on proposals (state, id);

-- n: the entry's place in the chain, from 1; hash: over the entry before and this one. Null: not chained yet.
alter table audit add column n bigint;
alter table audit add column hash text;
create unique index audit_n on audit (n);
create index audit_unchained on audit (id) where hash is null;

-- The log only grows. A row from before the chain gets its place once, and nothing else of it changes.
-- only postgresql
create function audit_only_grows() returns trigger language plpgsql as $$ begin if tg_op = 'UPDATE' then if old.hash is null and new.hash is not null and (new.id, new.at, new.who, new.what, new.detail) is not distinct from (old.id, old.at, old.who, old.what, old.detail) then return new; end if; end if; raise exception 'The audit log only grows.'; end $$;
create trigger audit_rows_stay before update or delete on audit for each row execute function audit_only_grows();
create trigger audit_stays before truncate on audit for each statement execute function audit_only_grows();
-- end

-- period: a calendar month, `2026-10`. A row is there while it is locked.
create table period_locks (
  entity text not null,
  period text not null,
  locked_at {time} not null,
  locked_by text not null,
  primary key (entity, period)
);
