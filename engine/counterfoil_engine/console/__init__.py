"""The console: pages for people over the use cases of API and command line. Reading works without JavaScript."""
