/* libgreet: the right greeting for the hour. */
#ifndef GREET_H
#define GREET_H

#include <stddef.h>

/* The greeting of an hour of the day (0 to 23), e.g. "Good morning"; NULL for any other number. */
const char *greet_salutation(int hour);

/* Writes "<salutation>, <name>!" into `text` of `size` bytes. Returns its length (without the final zero), or
   -1 if it does not fit or the hour is not valid. */
int greet_compose(char *text, size_t size, const char *name, int hour);

#endif
