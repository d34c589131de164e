// spworker.c - a Simple Pirate worker: echo, or a command for each request.

#include "pirate_program.h"

int
main(int argc, char **argv)
{
    return pirate_program("spworker", true, argc, argv);
}
