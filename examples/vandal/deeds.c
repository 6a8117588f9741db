#include "deeds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct report *report, const char *format, va_list arguments) {
    size_t used = strlen(report->text);
    vsnprintf(report->text + used, sizeof report->text - used, format, arguments);
}

void done(struct report *report, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    strcpy(report->text, "DONE: ");
    append(report, format, arguments);
    va_end(arguments);
}

void stopped(struct report *report, int error, const char *format, ...) {
    va_list arguments;
    const char *name = strerrorname_np(error);
    va_start(arguments, format);
    snprintf(report->text, sizeof report->text, "STOPPED: %s ", name ? name : "?");
    append(report, format, arguments);
    va_end(arguments);
}

long number(const char *data, long otherwise) {
    char *end;
    long value = strtol(data, &end, 10);
    return end == data ? otherwise : value;
}

const struct deed *find_deed(const char *name, size_t length) {
    static const struct deed *const lists[] = {reaching, exhausting, escaping, misbehaving};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const struct deed *deed = lists[i]; deed->name != NULL; deed++) {
            if (strlen(deed->name) == length && memcmp(deed->name, name, length) == 0) {
                return deed;
            }
        }
    }
    return NULL;
}
