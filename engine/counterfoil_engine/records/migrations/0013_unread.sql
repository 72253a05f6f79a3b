-- Cases of events that can't be used, by store: asked for with every batch of events.
create index cases_of_intake on cases (store) where origin = 'intake' and resolved_at is null;
