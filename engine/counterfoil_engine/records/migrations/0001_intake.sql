-- What came in: events as the stores' agents said them, the sequences they came by, and the list of subjects to look at.

-- A store's own row. Its lock puts the store's writers in a line; arrival counts the events kept, in commit order.
create table stores (
    store text primary key,
    arrival bigint not null default 0,
    handover boolean not null default false,
    agent_version text,
    contracts {json},
    hello_at {time},
    received_at {time}
);

-- One sequence, granted to one installation of the agent (E1). stored_through: nothing at or below it is missing.
create table epochs (
    store text not null references stores (store),
    epoch bigint not null,
    installation text not null,
    reason text,
    granted_at {time} not null,
    stored_through bigint not null default 0,
    through_id text,
    primary key (store, epoch)
);

-- Numbers that came above the watermark, until it passes them.
create table numbers (
    store text not null,
    epoch bigint not null,
    n bigint not null,
    event_id text not null,
    primary key (store, epoch, n)
);

-- body: the bytes of `data` as they came. Bytes, not text: what was hashed is what is kept, whatever its encoding.
-- verdict: stored or kept-invalid (then reason says why). same_as: the event that holds the same body (L4).
-- The dedupe key carries the event's own immutable date, since a partition's key has to.
-- only postgresql
create table events (
    store text not null,
    event_id text not null,
    occurred_on date not null,
    epoch bigint not null,
    n bigint not null,
    type text not null,
    subject text,
    arrival bigint not null,
    received_at timestamptz not null,
    occurred_at timestamptz,
    body bytea,
    body_hash text not null,
    verdict text not null check (verdict in ('stored', 'kept-invalid')),
    reason text,
    same_as text,
    primary key (store, event_id, occurred_on)
) partition by range (occurred_on);

create table events_default partition of events default;

do $$ begin alter table events alter column body set compression lz4; exception when feature_not_supported then null; end $$;
do $$ begin alter table events_default alter column body set compression lz4; exception when feature_not_supported then null; end $$;

create sequence work_gen;
-- end
-- only sqlite
create table events (
    store text not null,
    event_id text not null,
    occurred_on date not null,
    epoch bigint not null,
    n bigint not null,
    type text not null,
    subject text,
    arrival bigint not null,
    received_at {time} not null,
    occurred_at {time},
    body blob,
    body_hash text not null,
    verdict text not null check (verdict in ('stored', 'kept-invalid')),
    reason text,
    same_as text,
    primary key (store, event_id, occurred_on)
);

create table work_gen (value bigint not null);
insert into work_gen (value) values (0);
-- end

create index events_by_place on events (store, epoch, n);
create index events_by_subject on events (subject, epoch, n);
create index events_kept_invalid on events (store, arrival) where verdict = 'kept-invalid';
create index events_unreadable on events (store, arrival) where type = 'counterfoil.tombstone.v1';

create table heartbeats (
    store text not null,
    at {time} not null,
    body {json} not null,
    primary key (store, at)
);

-- Subjects that deserve a look. gen comes from a sequence that never repeats (L1).
create table work (
    subject text primary key,
    gen bigint not null,
    class text not null check (class in ('live', 'repair', 'history')),
    due_at {time} not null,
    claims integer not null default 0,
    token text,
    leased_until {time},
    marked_at {time} not null
);

create index work_due on work (class, due_at);
