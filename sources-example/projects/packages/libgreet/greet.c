#include "greet.h"

#include <stdio.h>

struct part_of_day {
    int until;
    const char *salutation;
};

static const struct part_of_day DAY[] = {
    {5, "Good night"},
    {12, "Good morning"},
    {18, "Good afternoon"},
    {22, "Good evening"},
    {24, "Good night"},
};

const char *greet_salutation(int hour)
{
    if (hour < 0)
        return NULL;
    for (size_t i = 0; i < sizeof DAY / sizeof *DAY; i++)
        if (hour < DAY[i].until)
            return DAY[i].salutation;
    return NULL;
}

int greet_compose(char *text, size_t size, const char *name, int hour)
{
    const char *salutation = greet_salutation(hour);
    if (!salutation)
        return -1;
    int length = snprintf(text, size, "%s, %s!", salutation, name);
    return length >= 0 && (size_t)length < size ? length : -1;
}
