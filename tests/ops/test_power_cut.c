// test_power_cut.c - what a loss of power leaves of a folder: by hand, at random, and preloaded.

#include "power_cut.h"
#include "undo_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEDS = 60, SECTOR = 512, BYTES_MAX = 16384, PATH_BYTES = 256 };

// A folder whose files are changed as lose_unsynced.c changes them.
struct rig {
    char folder[64];
    struct undo_log log;
};

static void
path_of(const struct rig *rig, const char *name, char path_out[PATH_BYTES])
{
    snprintf(path_out, PATH_BYTES, "%s/%s", rig->folder, name);
}

static void
begin(struct rig *rig)
{
    memcpy(rig->folder, "/tmp/test-power-cut-XXXXXX", 27);
    assert_non_null(mkdtemp(rig->folder));
    assert_int_equal(undo_log_open(&rig->log, rig->folder), 0);
}

static void
end(struct rig *rig)
{
    static const char *const names[] = {"a", "b", "c"};
    char path[PATH_BYTES];
    undo_log_close(&rig->log);
    undo_log_remove(rig->folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(rig, names[i], path);
        unlink(path);
    }
    assert_int_equal(rmdir(rig->folder), 0);
}

static struct power_cut
cut(struct rig *rig, uint64_t seed)
{
    struct power_cut result;
    undo_log_close(&rig->log);
    assert_int_equal(power_cut(rig->folder, seed, &result), 0);
    assert_int_equal(undo_log_open(&rig->log, rig->folder), 0);
    return result;
}

// open_file makes it where it is not there; its name is on the disk then.
static int
open_file(struct rig *rig, const char *name)
{
    char path[PATH_BYTES];
    path_of(rig, name, path);
    bool is_new = access(path, F_OK) != 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (is_new)
        assert_int_equal(undo_log_create(&rig->log, fd, name), 0);
    return fd;
}

static void
write_file(struct rig *rig, int fd, const void *bytes, size_t size, uint64_t at)
{
    assert_int_equal(undo_log_write(&rig->log, fd, at, size), 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), size);
}

static void
fill_file(struct rig *rig, int fd, uint8_t byte, size_t size, uint64_t at)
{
    uint8_t bytes[BYTES_MAX];
    memset(bytes, byte, size);
    write_file(rig, fd, bytes, size, at);
}

static void
resize_file(struct rig *rig, int fd, uint64_t size)
{
    assert_int_equal(undo_log_resize(&rig->log, fd, size), 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
}

static void
sync_file(struct rig *rig, int fd)
{
    assert_int_equal(undo_log_sync(&rig->log, fd, rig->log.size), 0);
}

static void
sync_folder(struct rig *rig)
{
    assert_int_equal(undo_log_sync_names(&rig->log, rig->log.size), 0);
}

// read_file returns how long it is, -1 where it is not there.
static long
read_file(const struct rig *rig, const char *name, uint8_t bytes_out[BYTES_MAX])
{
    char path[PATH_BYTES];
    path_of(rig, name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long size = fd < 0 ? -1 : read(fd, bytes_out, BYTES_MAX);
    if (fd >= 0)
        close(fd);
    return size;
}

static bool
is_there(const struct rig *rig, const char *name)
{
    uint8_t bytes[BYTES_MAX];
    return read_file(rig, name, bytes) >= 0;
}

// make_file makes one that is on the disk, full of one byte.
static void
make_file(struct rig *rig, const char *name, uint8_t byte, size_t size)
{
    int fd = open_file(rig, name);
    fill_file(rig, fd, byte, size, 0);
    sync_file(rig, fd);
    sync_folder(rig);
    close(fd);
}

// ---- bytes -------------------------------------------------------------------------------

static void
what_was_synced_stays(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'x', 3000);
        struct power_cut result = cut(&rig, seed);
        assert_int_equal(result.pending, 0);
        assert_int_equal(read_file(&rig, "a", bytes), 3000);
        for (size_t i = 0; i < 3000; i++)
            assert_int_equal(bytes[i], 'x');
        end(&rig);
    }
}

static void
what_was_not_synced_is_kept_or_goes(void **state)
{
    (void)state;
    uint32_t kept = 0, gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 100);
        int fd = open_file(&rig, "a");
        fill_file(&rig, fd, 'n', 100, 0);
        close(fd);
        struct power_cut result = cut(&rig, seed);
        assert_int_equal(result.pending, 1);
        assert_int_equal(read_file(&rig, "a", bytes), 100);
        kept += bytes[0] == 'n';
        gone += bytes[0] == 'o';
        end(&rig);
    }
    assert_int_equal(kept + gone, SEEDS);
    assert_in_range(kept, SEEDS / 5, SEEDS * 4 / 5);
}

static void
write_is_torn_between_sectors_and_nowhere_else(void **state)
{
    (void)state;
    enum { SECTORS = 8, AT = 100 };
    uint32_t torn = 0, with_holes = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        uint32_t changes = 0;
        begin(&rig);
        make_file(&rig, "a", 'o', SECTORS * SECTOR);
        int fd = open_file(&rig, "a");
        fill_file(&rig, fd, 'n', SECTORS * SECTOR - AT, AT);
        close(fd);
        cut(&rig, seed);
        assert_int_equal(read_file(&rig, "a", bytes), SECTORS * SECTOR);
        for (size_t i = 0; i < AT; i++)
            assert_int_equal(bytes[i], 'o');
        for (size_t i = AT + 1; i < SECTORS * SECTOR; i++) {
            assert_true(i % SECTOR == 0 || bytes[i] == bytes[i - 1]);
            changes += bytes[i] != bytes[i - 1];
        }
        torn += changes > 0;
        with_holes += changes > 1;
        end(&rig);
    }
    assert_true(torn > SEEDS / 10);
    assert_true(with_holes > SEEDS / 20);
    assert_true(torn < SEEDS * 9 / 10);
}

static void
later_write_may_be_there_without_an_earlier_one(void **state)
{
    (void)state;
    uint32_t later = 0, earlier = 0, old = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 2 * SECTOR);
        int fd = open_file(&rig, "a");
        fill_file(&rig, fd, '1', SECTOR, 0);
        fill_file(&rig, fd, '2', SECTOR, SECTOR);
        fill_file(&rig, fd, '3', SECTOR, SECTOR);
        close(fd);
        cut(&rig, seed);
        assert_int_equal(read_file(&rig, "a", bytes), 2 * SECTOR);
        later += bytes[0] == 'o' && bytes[SECTOR] == '3';
        earlier += bytes[0] == '1' && bytes[SECTOR] == '2';
        old += bytes[0] == 'o' && bytes[SECTOR] == 'o';
        end(&rig);
    }
    assert_true(later > 0 && earlier > 0 && old > 0);
}

static void
size_is_one_that_the_file_has_had(void **state)
{
    (void)state;
    uint32_t seen[3] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 3000);
        int fd = open_file(&rig, "a");
        resize_file(&rig, fd, 1000);
        fill_file(&rig, fd, 'n', 100, 1000);
        close(fd);
        cut(&rig, seed);
        long size = read_file(&rig, "a", bytes);
        assert_true(size == 1000 || size == 1100 || size == 3000 || size == 1024);
        seen[0] += size == 3000;
        seen[1] += size == 1000;
        seen[2] += size == 1100;
        for (long i = 0; i < size; i++)
            assert_true((bytes[i] == 'o' && (i < 1000 || size == 3000)) ||
                        (bytes[i] == 'n' && i >= 1000 && i < 1100) ||
                        (bytes[i] == 0 && i >= 1000 && i < 1024));
        end(&rig);
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
}

static void
write_that_comes_while_a_sync_is_under_way_is_not_covered(void **state)
{
    (void)state;
    uint32_t gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 2 * SECTOR);
        int fd = open_file(&rig, "a");
        fill_file(&rig, fd, '1', SECTOR, 0);
        uint64_t size = rig.log.size;
        fill_file(&rig, fd, '2', SECTOR, SECTOR);
        assert_int_equal(undo_log_sync(&rig.log, fd, size), 0);
        close(fd);
        assert_int_equal(cut(&rig, seed).pending, 1);
        read_file(&rig, "a", bytes);
        assert_int_equal(bytes[0], '1');
        gone += bytes[SECTOR] == 'o';
        end(&rig);
    }
    assert_true(gone > 0);
}

static void
sync_covers_its_own_file_only(void **state)
{
    (void)state;
    uint32_t gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 10);
        make_file(&rig, "b", 'o', 10);
        int a = open_file(&rig, "a"), b = open_file(&rig, "b");
        fill_file(&rig, a, 'n', 10, 0);
        fill_file(&rig, b, 'n', 10, 0);
        sync_file(&rig, b);
        sync_folder(&rig);
        close(a);
        close(b);
        cut(&rig, seed);
        read_file(&rig, "b", bytes);
        assert_int_equal(bytes[0], 'n');
        read_file(&rig, "a", bytes);
        gone += bytes[0] == 'o';
        end(&rig);
    }
    assert_true(gone > 0);
}

// ---- at random -----------------------------------------------------------------------------

enum { STEPS = 40, ROOM = 4096 };

// What a byte may be, once the power went: as bits, and bit 0 is the zero of a hole.
struct model {
    uint64_t synced[ROOM], may_be[ROOM];
};

static uint64_t
next(uint64_t *number)
{
    *number = *number * 6364136223846793005u + 1442695040888963407u;
    return *number >> 33;
}

static void
step(struct rig *rig, struct model *model, int fd, uint8_t byte, uint64_t *number)
{
    uint64_t at = next(number) % ROOM, size = 1 + next(number) % (ROOM - at);
    if (next(number) % 8 == 0) {
        sync_file(rig, fd);
        uint8_t now[ROOM];
        ssize_t got = pread(fd, now, sizeof now, 0);
        for (ssize_t i = 0; i < got; i++)
            model->synced[i] = model->may_be[i] = 1ull << now[i];
        return;
    }
    fill_file(rig, fd, byte, size, at);
    for (uint64_t i = 0; i < size; i++)
        model->may_be[at + i] |= 1ull << byte;
    for (uint64_t i = 0; i < at; i++)
        model->may_be[i] |= model->synced[i] == 0 ? 1 : 0;
}

static void
each_byte_is_one_that_was_written_since_the_last_sync(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        static struct model model;
        uint8_t bytes[BYTES_MAX];
        uint64_t number = seed;
        memset(&model, 0, sizeof model);
        begin(&rig);
        int fd = open_file(&rig, "a");
        sync_folder(&rig);
        for (uint8_t i = 1; i <= STEPS; i++)
            step(&rig, &model, fd, i, &number);
        close(fd);
        cut(&rig, seed);
        long size = read_file(&rig, "a", bytes);
        for (long i = 0; i < ROOM; i++) {
            // What was never written, or not synced, may be a hole, or behind the end.
            bool may_be_hole = model.synced[i] == 0;
            uint64_t is = i < size ? 1ull << bytes[i] : 0;
            assert_true((is & model.may_be[i]) != 0 || (may_be_hole && is <= 1));
        }
        end(&rig);
    }
}

// ---- names -------------------------------------------------------------------------------

static void
new_name_stays_where_the_folder_was_synced_and_may_go_where_not(void **state)
{
    (void)state;
    uint32_t there = 0, gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        begin(&rig);
        make_file(&rig, "a", 'x', 10);
        int fd = open_file(&rig, "b");
        fill_file(&rig, fd, 'y', 10, 0);
        sync_file(&rig, fd);
        close(fd);
        cut(&rig, seed);
        assert_true(is_there(&rig, "a"));
        there += is_there(&rig, "b");
        gone += !is_there(&rig, "b");
        end(&rig);
    }
    assert_true(there > 0 && gone > 0);
}

static void
removed_file_may_be_back_with_all_that_it_had(void **state)
{
    (void)state;
    uint32_t back = 0, gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        char path[PATH_BYTES];
        begin(&rig);
        make_file(&rig, "a", 'x', 700);
        path_of(&rig, "a", path);
        assert_int_equal(undo_log_remove_name(&rig.log, "a"), 0);
        assert_int_equal(unlink(path), 0);
        cut(&rig, seed);
        long size = read_file(&rig, "a", bytes);
        assert_true(size == 700 || size == -1);
        for (long i = 0; i < size; i++)
            assert_int_equal(bytes[i], 'x');
        back += size == 700;
        gone += size == -1;
        end(&rig);
    }
    assert_true(back > 0 && gone > 0);
}

static void
removal_that_the_folder_s_sync_covers_is_for_good(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        char path[PATH_BYTES];
        begin(&rig);
        make_file(&rig, "a", 'x', 10);
        path_of(&rig, "a", path);
        assert_int_equal(undo_log_remove_name(&rig.log, "a"), 0);
        assert_int_equal(unlink(path), 0);
        sync_folder(&rig);
        cut(&rig, seed);
        assert_false(is_there(&rig, "a"));
        end(&rig);
    }
}

static void
renamed_file_has_one_name_and_what_it_replaced_may_be_back(void **state)
{
    (void)state;
    uint32_t old = 0, new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        char from[PATH_BYTES], to[PATH_BYTES];
        begin(&rig);
        make_file(&rig, "a", 'n', 10);
        make_file(&rig, "b", 'o', 20);
        path_of(&rig, "a", from);
        path_of(&rig, "b", to);
        assert_int_equal(undo_log_rename(&rig.log, "a", "b"), 0);
        assert_int_equal(rename(from, to), 0);
        cut(&rig, seed);
        long size = read_file(&rig, "b", bytes);
        assert_true(size == (is_there(&rig, "a") ? 20 : 10));
        assert_int_equal(bytes[0], size == 20 ? 'o' : 'n');
        old += size == 20;
        new += size == 10;
        end(&rig);
    }
    assert_true(old > 0 && new > 0);
}

static void
name_may_be_that_of_the_file_before(void **state)
{
    (void)state;
    uint32_t sizes[3] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        char path[PATH_BYTES];
        begin(&rig);
        make_file(&rig, "a", 'o', 20);
        path_of(&rig, "a", path);
        assert_int_equal(undo_log_remove_name(&rig.log, "a"), 0);
        assert_int_equal(unlink(path), 0);
        int fd = open_file(&rig, "a");
        fill_file(&rig, fd, 'n', 10, 0);
        sync_file(&rig, fd);
        close(fd);
        cut(&rig, seed);
        long size = read_file(&rig, "a", bytes);
        assert_true(size == 20 || size == 10 || size == -1);
        sizes[size == 20 ? 0 : size == 10 ? 1 : 2]++;
        end(&rig);
    }
    assert_true(sizes[0] > 0 && sizes[1] > 0 && sizes[2] > 0);
}

// ---- the log -----------------------------------------------------------------------------

static void
without_a_log_there_is_nothing_to_lose(void **state)
{
    (void)state;
    struct power_cut result;
    struct rig rig;
    begin(&rig);
    undo_log_close(&rig.log);
    undo_log_remove(rig.folder);
    assert_int_equal(power_cut(rig.folder, 1, &result), ENOENT);
    end(&rig);
}

static void
log_is_carried_on_behind_its_last_whole_entry(void **state)
{
    (void)state;
    struct rig rig;
    uint8_t bytes[BYTES_MAX];
    begin(&rig);
    make_file(&rig, "a", 'x', 1000);
    uint64_t size = rig.log.size;
    int fd = open_file(&rig, "a");
    assert_int_equal(undo_log_write(&rig.log, fd, 0, 1000), 0);
    // Its process was killed while it wrote that down: it has not written to the file.
    assert_int_equal(ftruncate(rig.log.fd, (off_t)rig.log.size - 1), 0);
    undo_log_close(&rig.log);
    assert_int_equal(undo_log_open(&rig.log, rig.folder), 0);
    assert_int_equal(rig.log.size, size);
    fill_file(&rig, fd, 'y', 1000, 0);
    sync_file(&rig, fd);
    close(fd);
    assert_int_equal(cut(&rig, 1).pending, 0);
    assert_int_equal(read_file(&rig, "a", bytes), 1000);
    assert_int_equal(bytes[999], 'y');
    end(&rig);
}

static void
entry_that_is_not_whole_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'x', 1000);
        int fd = open_file(&rig, "a");
        assert_int_equal(undo_log_write(&rig.log, fd, 0, 1000), 0);
        assert_int_equal(ftruncate(rig.log.fd, (off_t)rig.log.size - 1), 0);
        close(fd);
        assert_int_equal(cut(&rig, seed).pending, 0);
        assert_int_equal(read_file(&rig, "a", bytes), 1000);
        end(&rig);
    }
}

static void
change_that_was_struck_out_is_not_made_up(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rig rig;
        begin(&rig);
        make_file(&rig, "a", 'x', 10);
        uint64_t size = rig.log.size;
        assert_int_equal(undo_log_remove_name(&rig.log, "a"), 0);
        undo_log_strike(&rig.log, size); // the removal failed
        assert_int_equal(cut(&rig, seed).pending, 0);
        assert_true(is_there(&rig, "a"));
        end(&rig);
    }
}

// ---- preloaded ---------------------------------------------------------------------------

// run_preloaded runs a line of the shell in the folder, on a disk that loses; its exit status.
static int
run_preloaded(const struct rig *rig, const char *more, const char *line)
{
    char command[2048];
    const char *build = getenv("GALLEON_BUILD");
    assert_non_null(build);
    snprintf(command, sizeof command,
             "cd %s && GALLEON_UNSYNCED=%s %s LD_PRELOAD='%s/lose_unsynced.so' %s", rig->folder,
             rig->folder, more, build, line);
    return system(command);
}

static void
preloaded_program_s_changes_are_pending_until_it_syncs(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint32_t pending;
    } rows[] = {
        {"python3 -c 'import os; f = os.open(\"a\", os.O_RDWR); os.pwrite(f, b\"xx\", 3)'", 1},
        {"python3 -c 'import os; f = os.open(\"a\", os.O_RDWR); os.pwrite(f, b\"xx\", 3); "
         "os.fsync(f)'",
         0},
        {"python3 -c 'import os; f = os.open(\"a\", os.O_RDWR); os.write(f, b\"xx\"); "
         "os.fdatasync(f); os.ftruncate(f, 1)'",
         1},
        {"python3 -c 'import os; f = os.open(\"a\", os.O_RDWR | os.O_TRUNC)'", 1},
        {"python3 -c 'import os; f = os.open(\"a\", os.O_RDWR); os.posix_fallocate(f, 0, 9999)'",
         1},
        {"python3 -c 'import os; os.open(\"b\", os.O_RDWR | os.O_CREAT); "
         "os.fsync(os.open(\".\", 0))'",
         0},
        {"python3 -c 'import os; os.open(\"b\", os.O_RDWR | os.O_CREAT)'", 1},
        {"python3 -c 'import os; os.rename(\"a\", \"b\")'", 1},
        {"python3 -c 'import os; os.unlink(\"a\")'", 1},
        {"mv a b", 1},
        {"rm a", 1},
        {"truncate -s 5 a", 1},
        {"dd if=/dev/zero of=a bs=512 count=4 conv=notrunc status=none", 4},
        {"dd if=/dev/zero of=a bs=512 count=4 conv=notrunc,fdatasync status=none", 0},
        {"cat a", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig rig;
        char command[1024];
        begin(&rig);
        make_file(&rig, "a", 'o', 4096);
        undo_log_close(&rig.log);
        snprintf(command, sizeof command, "%s >/dev/null", rows[i].line);
        assert_int_equal(run_preloaded(&rig, "", command), 0);
        assert_int_equal(cut(&rig, 1).pending, rows[i].pending);
        end(&rig);
    }
}

static void
preloaded_program_loses_what_it_did_not_sync(void **state)
{
    (void)state;
    uint32_t kept = 0, gone = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct rig rig;
        uint8_t bytes[BYTES_MAX];
        begin(&rig);
        make_file(&rig, "a", 'o', 2 * SECTOR);
        undo_log_close(&rig.log);
        static const char line[] = "python3 -S -c 'import os; f = os.open(\"a\", os.O_RDWR); "
                                   "os.pwrite(f, b\"s\" * 512, 0); os.fsync(f); "
                                   "os.pwrite(f, b\"n\" * 512, 512)'";
        assert_int_equal(run_preloaded(&rig, "", line), 0);
        cut(&rig, seed);
        assert_int_equal(read_file(&rig, "a", bytes), 2 * SECTOR);
        assert_int_equal(bytes[0], 's');
        kept += bytes[SECTOR] == 'n';
        gone += bytes[SECTOR] == 'o';
        end(&rig);
    }
    assert_true(kept > 0 && gone > 0);
}

static void
preloaded_program_dies_before_the_change_that_was_asked_for(void **state)
{
    (void)state;
    static const char line[] =
        "exec dd if=/dev/zero of=a bs=512 count=8 conv=notrunc,fdatasync status=none";
    for (int number = 1; number <= 10; number++) {
        struct rig rig;
        char more[64];
        begin(&rig);
        make_file(&rig, "a", 'o', 4096);
        undo_log_close(&rig.log);
        snprintf(more, sizeof more, "GALLEON_UNSYNCED_KILL=%d", number);
        int status = run_preloaded(&rig, more, line + 5);
        bool is_killed = WIFEXITED(status) && WEXITSTATUS(status) == 128 + 9;
        is_killed = is_killed || (WIFSIGNALED(status) && WTERMSIG(status) == 9);
        assert_true(is_killed == (number <= 9)); // eight writes and a sync
        assert_int_equal(cut(&rig, 1).pending, is_killed ? (uint32_t)number - 1 : 0);
        end(&rig);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_stays),
        cmocka_unit_test(what_was_not_synced_is_kept_or_goes),
        cmocka_unit_test(write_is_torn_between_sectors_and_nowhere_else),
        cmocka_unit_test(later_write_may_be_there_without_an_earlier_one),
        cmocka_unit_test(size_is_one_that_the_file_has_had),
        cmocka_unit_test(write_that_comes_while_a_sync_is_under_way_is_not_covered),
        cmocka_unit_test(sync_covers_its_own_file_only),
        cmocka_unit_test(each_byte_is_one_that_was_written_since_the_last_sync),
        cmocka_unit_test(new_name_stays_where_the_folder_was_synced_and_may_go_where_not),
        cmocka_unit_test(removed_file_may_be_back_with_all_that_it_had),
        cmocka_unit_test(removal_that_the_folder_s_sync_covers_is_for_good),
        cmocka_unit_test(renamed_file_has_one_name_and_what_it_replaced_may_be_back),
        cmocka_unit_test(name_may_be_that_of_the_file_before),
        cmocka_unit_test(without_a_log_there_is_nothing_to_lose),
        cmocka_unit_test(log_is_carried_on_behind_its_last_whole_entry),
        cmocka_unit_test(entry_that_is_not_whole_changes_nothing),
        cmocka_unit_test(change_that_was_struck_out_is_not_made_up),
        cmocka_unit_test(preloaded_program_s_changes_are_pending_until_it_syncs),
        cmocka_unit_test(preloaded_program_loses_what_it_did_not_sync),
        cmocka_unit_test(preloaded_program_dies_before_the_change_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
