// test_bstar_record.c - a voter's record that is torn, flipped, short, foreign, taken, missing.

#include "bstar_record.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAIR = 77 };

struct stage {
    char folder[64];
    char path[96];
    struct bstar_record_file file;
    struct bstar_owner owner;
    struct bstar_record record;
};

static int
set_up(void **state)
{
    struct stage *self = calloc(1, sizeof *self);
    strcpy(self->folder, "/tmp/galleon-record-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    snprintf(self->path, sizeof self->path, "%s/vote", self->folder);
    self->file.fd = -1;
    *state = self;
    return 0;
}

static int
tear_down(void **state)
{
    struct stage *self = *state;
    bstar_record_close(&self->file);
    unlink(self->path);
    assert_int_equal(rmdir(self->folder), 0); // nothing else was left there
    free(self);
    return 0;
}

static enum bstar_trouble
open_as(struct stage *self, uint64_t pair, char member)
{
    bstar_record_close(&self->file);
    return bstar_record_open(&self->file, self->path, pair, member, &self->owner, &self->record);
}

static void
make(struct stage *self)
{
    struct bstar_owner owner = {.pair = PAIR, .member = 'P'};
    assert_int_equal(bstar_record_make(self->path, owner), 0);
}

static void
read_file(const struct stage *self, uint8_t bytes[BSTAR_FILE_BYTES])
{
    int fd = open(self->path, O_RDONLY);
    assert_int_equal(read(fd, bytes, BSTAR_FILE_BYTES), BSTAR_FILE_BYTES);
    close(fd);
}

static void
write_file(const struct stage *self, const uint8_t *bytes, size_t size)
{
    int fd = open(self->path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

// write_epoch adds a record of this epoch to the open file.
static void
write_epoch(struct stage *self, uint64_t epoch)
{
    self->record.serial++;
    self->record.epoch = epoch;
    self->record.holder = 4711;
    assert_true(bstar_record_write(&self->file, &self->record));
}

// ---- making and reading ---------------------------------------------------------------------

static void
a_new_record_is_nobodys_and_has_a_node(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    assert_int_equal(self->record.epoch, 0);
    assert_int_equal(self->record.holder, 0);
    assert_int_not_equal(self->owner.node, 0);
    uint64_t node = self->owner.node;
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    assert_true(self->owner.node == node);
}

static void
a_record_is_never_made_over_another(void **state)
{
    struct stage *self = *state;
    make(self);
    uint8_t before[BSTAR_FILE_BYTES], after[BSTAR_FILE_BYTES];
    read_file(self, before);
    struct bstar_owner owner = {.pair = PAIR, .member = 'P'};
    assert_int_equal(bstar_record_make(self->path, owner), EEXIST);
    read_file(self, after);
    assert_memory_equal(before, after, sizeof before);
    write_file(self, (const uint8_t *)"", 0);
    assert_int_equal(bstar_record_make(self->path, owner), EEXIST);
}

static void
a_record_that_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    struct bstar_owner owner = {.pair = PAIR, .member = 'P'};
    assert_int_equal(bstar_record_make("/tmp/galleon-no-such-folder/vote", owner), ENOENT);
}

static void
what_was_written_is_read_again(void **state)
{
    struct stage *self = *state;
    make(self);
    for (uint64_t epoch = 1; epoch < 6; epoch++) {
        assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
        assert_int_equal(self->record.epoch, epoch - 1);
        uint64_t serial = self->record.serial;
        write_epoch(self, epoch);
        assert_int_equal(self->record.serial, serial + 1);
    }
}

static void
what_was_read_is_written_once_more(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    uint64_t serial = self->record.serial;
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    assert_int_equal(self->record.serial, serial + 1);
}

static void
a_torn_write_leaves_the_record_before_it(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    write_epoch(self, 5);
    uint8_t before[BSTAR_FILE_BYTES], after[BSTAR_FILE_BYTES], torn[BSTAR_FILE_BYTES];
    read_file(self, before);
    write_epoch(self, 6);
    read_file(self, after);
    size_t at = bstar_record_offset(&self->record);
    for (size_t size = 0; size <= BSTAR_SLOT_BYTES; size++) {
        for (int is_end = 0; is_end < 2; is_end++) {
            memcpy(torn, before, sizeof torn);
            size_t from = at + (is_end ? BSTAR_SLOT_BYTES - size : 0);
            memcpy(torn + from, after + from, size);
            write_file(self, torn, sizeof torn);
            assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
            bool is_whole = memcmp(torn, after, sizeof torn) == 0;
            assert_int_equal(self->record.epoch, is_whole ? 6 : 5);
            assert_int_equal(self->record.holder, 4711);
        }
    }
}

static void
a_flipped_byte_is_never_believed(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    write_epoch(self, 5);
    uint8_t good[BSTAR_FILE_BYTES], bad[BSTAR_FILE_BYTES];
    read_file(self, good);
    for (size_t at = 0; at < BSTAR_FILE_BYTES; at++) {
        memcpy(bad, good, sizeof bad);
        bad[at] ^= 0x40;
        // A flip in both slots, or in the owner's.
        if (at < BSTAR_RECORD_BYTES)
            bad[(at + BSTAR_SLOT_BYTES) % BSTAR_RECORD_BYTES] ^= 0x40;
        write_file(self, bad, sizeof bad);
        assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_BAD);
        uint8_t after[BSTAR_FILE_BYTES];
        read_file(self, after);
        assert_memory_equal(bad, after, sizeof bad);
    }
}

static void
a_short_file_is_damaged_and_stays_so(void **state)
{
    struct stage *self = *state;
    make(self);
    uint8_t good[BSTAR_FILE_BYTES];
    read_file(self, good);
    for (size_t size = 0; size < BSTAR_FILE_BYTES; size++) {
        write_file(self, good, size);
        assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_BAD);
        struct stat look;
        assert_int_equal(stat(self->path, &look), 0);
        assert_int_equal(look.st_size, size);
    }
}

static void
another_members_record_is_foreign(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR + 1, 'P'), BSTAR_RECORD_FOREIGN);
    assert_int_equal(open_as(self, PAIR, 'B'), BSTAR_RECORD_FOREIGN);
    assert_int_equal(open_as(self, PAIR, 'W'), BSTAR_RECORD_FOREIGN);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
}

static void
a_missing_record_is_not_made(void **state)
{
    struct stage *self = *state;
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_MISSING);
    assert_int_not_equal(access(self->path, F_OK), 0);
}

static void
one_process_has_it(void **state)
{
    struct stage *self = *state;
    make(self);
    assert_int_equal(open_as(self, PAIR, 'P'), BSTAR_RECORD_GOOD);
    struct bstar_record_file other;
    struct bstar_owner owner;
    struct bstar_record record;
    assert_int_equal(bstar_record_open(&other, self->path, PAIR, 'P', &owner, &record),
                     BSTAR_RECORD_LOCKED);
    assert_int_equal(other.fd, -1);
    bstar_record_close(&self->file);
    assert_int_equal(bstar_record_open(&other, self->path, PAIR, 'P', &owner, &record),
                     BSTAR_RECORD_GOOD);
    bstar_record_close(&other);
}

static void
what_cannot_be_written_is_said(void **state)
{
    struct stage *self = *state;
    make(self);
    struct bstar_record_file file = {.fd = open(self->path, O_RDONLY)};
    assert_false(bstar_record_write(&file, &self->record));
    bstar_record_close(&file);
    struct bstar_owner owner;
    struct bstar_record record;
    assert_int_equal(bstar_record_open(&file, self->folder, PAIR, 'P', &owner, &record),
                     BSTAR_RECORD_FAILED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_record_is_nobodys_and_has_a_node),
        TEST(a_record_is_never_made_over_another),
        TEST(a_record_that_cannot_be_made_leaves_nothing),
        TEST(what_was_written_is_read_again),
        TEST(what_was_read_is_written_once_more),
        TEST(a_torn_write_leaves_the_record_before_it),
        TEST(a_flipped_byte_is_never_believed),
        TEST(a_short_file_is_damaged_and_stays_so),
        TEST(another_members_record_is_foreign),
        TEST(a_missing_record_is_not_made),
        TEST(one_process_has_it),
        TEST(what_cannot_be_written_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
