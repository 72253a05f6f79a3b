-- What a list of payouts says each came to, where it doesn't say in which currency: its report will.
create table payouts_listed (
  source text not null,
  payout text not null,
  amount text not null,
  paid_on text not null,
  listed_at {time} not null,
  primary key (source, payout)
);
