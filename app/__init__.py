"""What people meet: the pages, the command line, long jobs. The only room that reaches all."""
