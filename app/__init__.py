"""What people meet: the browser pages, the command line, long jobs. The only room that reaches all others."""
