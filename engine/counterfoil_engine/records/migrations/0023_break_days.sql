-- The day on which a break is compared, where its sweep compares days: as long as it stands, that day is looked at.
alter table breaks add column day text;
