"""Settlement: what gateways say they paid out, matched to what is posted, and proved (domain.md, section 6)."""
