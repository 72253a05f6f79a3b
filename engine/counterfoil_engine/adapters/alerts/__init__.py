"""Where alerts are told: a webhook, mail."""
