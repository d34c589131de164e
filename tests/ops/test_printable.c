// test_printable.c - what peers send does nothing to a terminal.

#include "printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
control_characters_and_what_is_no_utf8_become_question_marks(void **state)
{
    (void)state;
    static const struct {
        struct view text;
        const char *written;
    } rows[] = {
        {VIEW_LITERAL(""), ""},
        {VIEW_LITERAL("plain ~ text"), "plain ~ text"},
        {VIEW_LITERAL("tab\tline\nend"), "tab\tline\nend"},
        {VIEW_LITERAL("Gr\303\274\303\237e \342\234\223 \360\237\230\200 \302\240"),
         "Gr\303\274\303\237e \342\234\223 \360\237\230\200 \302\240"},
        {VIEW_LITERAL("\x1b[31mred\x07\r\b\x7f\0."), "?[31mred?????."},
        // CSI as one character, as a byte of Latin-1, and cut off.
        {VIEW_LITERAL("\302\23331m"), "?31m"},
        {VIEW_LITERAL("\23331m"), "?31m"},
        {VIEW_LITERAL("\302"), "?"},
        {VIEW_LITERAL("\302\x1b[2J"), "??[2J"},
        // ESC and a letter in more bytes than they need.
        {VIEW_LITERAL("\300\233\340\201\201"), "?????"},
        {VIEW_LITERAL("\355\240\200\364\220\200\200"), "???????"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *written = NULL;
        size_t size;
        FILE *out = open_memstream(&written, &size);
        printable_write(out, rows[i].text);
        fclose(out);
        assert_string_equal(written, rows[i].written);
        free(written);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_and_what_is_no_utf8_become_question_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
