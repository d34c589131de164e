// test_body.c - words and standard input become frames, and frames become lines.

#include "body.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

// put_input makes `bytes` what standard input has.
static void
put_input(const char *bytes, size_t size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    rewind(file);
    assert_int_equal(dup2(fileno(file), STDIN_FILENO), STDIN_FILENO);
    fclose(file);
    clearerr(stdin);
}

static void
assert_frame(zframe_t *frame, const char *bytes, size_t size)
{
    assert_non_null(frame);
    assert_int_equal(zframe_size(frame), size);
    if (size > 0)
        assert_memory_equal(zframe_data(frame), bytes, size);
}

static void
each_word_is_a_frame(void **state)
{
    (void)state;
    char one[] = "one", empty[] = "", dashes[] = "--";
    char *words[] = {one, empty, dashes};
    zmsg_t *body = body_of_words(words, 3);
    assert_int_equal(zmsg_size(body), 3);
    assert_frame(zmsg_first(body), "one", 3);
    assert_frame(zmsg_next(body), "", 0);
    assert_frame(zmsg_next(body), "--", 2);
    zmsg_destroy(&body);
    body = body_of_words(NULL, 0);
    assert_int_equal(zmsg_size(body), 0);
    zmsg_destroy(&body);
}

static void
dash_is_all_that_standard_input_has(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 131071, 131072, 131073, 1000000};
    char dash[] = "-", last[] = "last";
    char *words[] = {dash, last, dash};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        char *bytes = malloc(size + 1);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (char)(at % 251);
        put_input(bytes, size);
        zmsg_t *body = body_of_words(words, 3);
        assert_int_equal(zmsg_size(body), 3);
        assert_frame(zmsg_first(body), bytes, size);
        assert_frame(zmsg_next(body), "last", 4);
        assert_frame(zmsg_next(body), "", 0); // nothing is left of it
        zmsg_destroy(&body);
        free(bytes);
    }
}

static void
input_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    int folder = open("/", O_RDONLY);
    assert_int_equal(dup2(folder, STDIN_FILENO), STDIN_FILENO);
    close(folder);
    char one[] = "one", dash[] = "-";
    char *words[] = {one, dash};
    errno = 0;
    assert_null(body_of_words(words, 2));
    assert_int_equal(errno, EISDIR);
    clearerr(stdin);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_a_frame),
        cmocka_unit_test(dash_is_all_that_standard_input_has),
        cmocka_unit_test(input_that_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
