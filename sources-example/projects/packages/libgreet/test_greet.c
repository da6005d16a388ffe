/* Run by `make check`: prints each expectation that is not met, and then fails. */
#include "greet.h"

#include <stdio.h>
#include <string.h>

static int failures;

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "FAIL: %s\n", what);
        failures++;
    }
}

int main(void)
{
    char text[64];

    expect(strcmp(greet_salutation(0), "Good night") == 0, "midnight is night");
    expect(strcmp(greet_salutation(8), "Good morning") == 0, "8 is morning");
    expect(strcmp(greet_salutation(12), "Good afternoon") == 0, "noon begins the afternoon");
    expect(strcmp(greet_salutation(21), "Good evening") == 0, "21 is evening");
    expect(strcmp(greet_salutation(23), "Good night") == 0, "23 is night");
    expect(greet_salutation(24) == NULL, "24 is not an hour");
    expect(greet_salutation(-1) == NULL, "-1 is not an hour");
    expect(greet_compose(text, sizeof text, "Ada", 8) == 18, "the length is returned");
    expect(strcmp(text, "Good morning, Ada!") == 0, "the text is composed");
    expect(greet_compose(text, 8, "Ada", 8) == -1, "what does not fit is an error");
    return failures ? 1 : 0;
}
