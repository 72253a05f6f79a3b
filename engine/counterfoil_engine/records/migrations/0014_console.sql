-- The console: passwords and sessions of people, what orders are searched by, and planned pauses of parties.

-- hash: scrypt with its parameters and salt. set_by: who chose it, and so has seen it.
create table passwords (
  name text primary key references users (name),
  hash text not null,
  set_by text not null,
  set_at {time} not null
);

-- id_hash: SHA-256 of a secret of 256 random bits that the browser alone has. notice: what the next page says first.
create table sessions (
  id_hash text primary key,
  name text not null,
  csrf text not null,
  how text not null,
  notice text not null,
  begun_at {time} not null,
  seen_at {time} not null,
  expires_at {time} not null
);
create index sessions_name on sessions (name);
create index sessions_expired on sessions (expires_at);

-- Tries to sign in that were not yet followed by one that worked. who: `name anna`, or `from 192.0.2.1`.
create table sign_in_tries (
  who text not null,
  at {time} not null
);
create index sign_in_tries_who on sign_in_tries (who, at);
create index sign_in_tries_at on sign_in_tries (at);

-- Sign-ins by an identity provider that are under way: what its answer has to bear, and where the person wanted to go.
create table sign_in_states (
  state_hash text primary key,
  nonce text not null,
  verifier text not null,
  wanted text not null,
  until {time} not null
);
create index sign_in_states_until on sign_in_states (until);

-- What a party took of late: how many, and how quickly.
create index intents_taken on intents (result_at) where kind = 'sales_order' and state = 'done';
create index intents_result on intents (party, result_at) where result_at is not null;
create index intents_number on intents (number) where number is not null;

-- What orders are searched by (`domain/search_terms.py`); at: when the order was made. An e-mail is its hash alone.
create table order_terms (
  kind text not null,
  term text not null,
  at {time} not null,
  subject text not null,
  primary key (kind, term, at, subject)
);
create index order_terms_subject on order_terms (subject);

-- A party that is left alone for a while, by a person. Over once it is released, or its time has come.
create table holds (
  party text not null,
  entity text not null,
  reason text not null,
  held_by text not null,
  since {time} not null,
  until {time},
  released_by text,
  released_at {time},
  primary key (party, entity)
);

create index intents_refused on intents (party, entity) where state = 'refused';
create index cases_ended on cases (fingerprint, resolved_at) where resolved_at is not null;
