// test_mdp_epoch.c - the field `epoch`: which lines are one, and which of them counts.

#include "mdp_epoch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// finds looks into a copy of exactly that size, so that nothing behind it is read unseen.
static bool
finds(const char *text, size_t size, struct mdp_epoch *epoch_out)
{
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy + 1, text, size);
    bool found = mdp_epoch_find(view_of(copy + 1, size), epoch_out);
    free(copy);
    return found;
}

static void
pair_and_number_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        uint64_t pair, number;
    } rows[] = {
        {"epoch: 0123456789abcdef:7\n", UINT64_C(0x0123456789abcdef), 7},
        {"epoch: FEDCBA9876543210:0\n", UINT64_C(0xfedcba9876543210), 0},
        {"epoch: 0000000000000000:9999999999999999999\n", 0, UINT64_C(9999999999999999999)},
        {"traceparent: x\nepoch: 0000000000000001:2\nuser: me\n", 1, 2},
        {"epoch: 0000000000000001:2\nepoch: 0000000000000003:4\n", 1, 2},
        {"xepoch: 0000000000000001:2\nepoch: 0000000000000003:4\n", 3, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mdp_epoch epoch;
        assert_true(finds(rows[i].fields, strlen(rows[i].fields), &epoch));
        assert_true(epoch.pair == rows[i].pair);
        assert_true(epoch.number == rows[i].number);
    }
}

static void
what_is_not_of_this_form_is_no_epoch(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\n",
        "user: me\n",
        "epoch: 0123456789abcdef:7", // no end
        "epoch:0123456789abcdef:7\n",
        "Epoch: 0123456789abcdef:7\n",
        "epoch: \n",
        "epoch: 7\n",
        "epoch: 0123456789abcde:7\n",
        "epoch: 0123456789abcdef0:7\n",
        "epoch: 0123456789abcdeg:7\n",
        "epoch: 0123456789abcdef\n",
        "epoch: 0123456789abcdef:\n",
        "epoch: 0123456789abcdef:-1\n",
        "epoch: 0123456789abcdef:1 \n",
        "epoch: 0123456789abcdef:10000000000000000000\n",
        // The first line of the name counts, whatever it says.
        "epoch: nonsense\nepoch: 0123456789abcdef:7\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mdp_epoch epoch;
        assert_false(finds(rows[i], strlen(rows[i]), &epoch));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_and_number_are_read),
        cmocka_unit_test(what_is_not_of_this_form_is_no_epoch),
    };
    return cmocka_run_group_tests_name("mdp_epoch", tests, NULL, NULL);
}
