-- What a store's agent fetches of the documents for its store, and tells the results of.
create index intents_mailbox on intents (store, state, class, id) where party = 'store';
