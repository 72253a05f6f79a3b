-- A gateway's clearing is read by its day.
create index journal_role_day on journal (entity, role, posting_date);
drop index journal_role;
