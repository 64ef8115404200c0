"""What each agent may do, as rules and as a page that a manager signs."""
