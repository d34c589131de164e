// bstar_stage.c - a loop over both halves, with real sockets and the real clock.

#include "bstar_stage.h"

#include "log.h"

#include <galleon/status.h>

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURN_MS = 5 };

static const uint64_t patience_ns = 20000000000u;

void
bstar_stage_open(struct bstar_stage *self)
{
    static const char *const names[] = {"primary", "backup", "witness"};
    *self = (struct bstar_stage){0};
    strcpy(self->folder, "/tmp/galleon-pair-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    for (size_t i = 0; i <= STAGE_HALVES; i++) {
        snprintf(self->ends[i], sizeof self->ends[i], "ipc://%s/%s", self->folder, names[i]);
        snprintf(self->files[i], sizeof self->files[i], "%s/%s.vote", self->folder, names[i]);
    }
}

void
bstar_stage_close(struct bstar_stage *self)
{
    for (int i = 0; i < STAGE_HALVES; i++)
        bstar_destroy(&self->halves[i]);
    bstar_stage_stop_witness(self);
    for (size_t i = 0; i <= STAGE_HALVES; i++) {
        unlink(self->files[i]);
        unlink(self->ends[i] + strlen("ipc://"));
    }
    rmdir(self->folder);
}

void
bstar_stage_start(struct bstar_stage *self, int half)
{
    assert_null(self->halves[half]);
    self->halves[half] = bstar_new(half == STAGE_PRIMARY ? BSTAR_PRIMARY : BSTAR_BACKUP,
                                   self->ends[half], self->ends[1 - half], &self->options);
    assert_non_null(self->halves[half]);
    self->is_hung[half] = false;
}

void
bstar_stage_start_guarded(struct bstar_stage *self, int half)
{
    self->options.witness = self->ends[STAGE_HALVES];
    self->options.state_file = self->files[half];
    self->options.init = access(self->files[half], F_OK) != 0;
    bstar_stage_start(self, half);
}

static void *
vote(void *context)
{
    (void)bstar_witness_run(context);
    return NULL;
}

void
bstar_stage_start_witness(struct bstar_stage *self)
{
    struct bstar_witness_options options = {.bind = self->ends[STAGE_HALVES],
                                            .state_file = self->files[STAGE_HALVES],
                                            .pair = "galleon",
                                            .lease_ms = self->options.lease_ms,
                                            .init = access(self->files[STAGE_HALVES], F_OK) != 0};
    enum bstar_trouble trouble;
    self->witness = bstar_witness_new(&options, &trouble);
    assert_non_null(self->witness);
    assert_int_equal(pthread_create(&self->thread, NULL, vote, self->witness), 0);
}

void
bstar_stage_stop_witness(struct bstar_stage *self)
{
    if (self->witness == NULL)
        return;
    bstar_witness_stop(self->witness);
    pthread_join(self->thread, NULL);
    bstar_witness_destroy(&self->witness);
}

// ---- turning --------------------------------------------------------------------------------

static void
wait_for_any(struct bstar_stage *self)
{
    struct pollfd fds[STAGE_HALVES];
    nfds_t count = 0;
    int wait_ms = TURN_MS;
    for (int i = 0; i < STAGE_HALVES; i++) {
        if (self->halves[i] == NULL || self->is_hung[i])
            continue;
        fds[count++] = (struct pollfd){.fd = bstar_fd(self->halves[i]), .events = POLLIN};
        if (bstar_deadline(self->halves[i]) <= galleon_now_ns())
            wait_ms = 0;
    }
    (void)poll(fds, count, wait_ms);
}

void
bstar_stage_turn(struct bstar_stage *self)
{
    wait_for_any(self);
    for (int i = 0; i < STAGE_HALVES; i++)
        if (self->halves[i] != NULL && !self->is_hung[i])
            assert_int_equal(bstar_pump(self->halves[i], galleon_now_ns()), GALLEON_OK);
    uint64_t now_ns = galleon_now_ns();
    int serving = 0;
    for (int i = 0; i < STAGE_HALVES; i++)
        serving += self->halves[i] != NULL && bstar_is_serving(self->halves[i], now_ns);
    if (self->options.witness != NULL)
        assert_in_range(serving, 0, 1);
}

void
bstar_stage_until(struct bstar_stage *self, bstar_stage_fact *is_so, int half)
{
    uint64_t end_ns = galleon_now_ns() + patience_ns;
    while (!is_so(self, half)) {
        assert_true(galleon_now_ns() < end_ns);
        bstar_stage_turn(self);
    }
}

// ---- what is logged --------------------------------------------------------------------------

void
bstar_stage_begin_log(struct bstar_stage_log *self)
{
    self->file = tmpfile();
    assert_non_null(self->file);
    fflush(stderr);
    self->saved = dup(STDERR_FILENO);
    dup2(fileno(self->file), STDERR_FILENO);
    log_set_level(LOG_LEVEL_INFO);
}

void
bstar_stage_end_log(struct bstar_stage_log *self, char *text, size_t room)
{
    log_set_level(LOG_LEVEL_OFF);
    fflush(stderr);
    dup2(self->saved, STDERR_FILENO);
    close(self->saved);
    rewind(self->file);
    text[fread(text, 1, room - 1, self->file)] = '\0';
    fclose(self->file);
}

// ---- facts ----------------------------------------------------------------------------------

bool
bstar_stage_is_active(struct bstar_stage *self, int half)
{
    return bstar_state(self->halves[half]) == BSTAR_ACTIVE;
}

bool
bstar_stage_is_passive(struct bstar_stage *self, int half)
{
    return bstar_state(self->halves[half]) == BSTAR_PASSIVE;
}

bool
bstar_stage_leads(struct bstar_stage *self, int half)
{
    return bstar_stage_is_active(self, half) && bstar_stage_is_passive(self, 1 - half);
}

bool
bstar_stage_serves(struct bstar_stage *self, int half)
{
    return bstar_may_serve(self->halves[half], galleon_now_ns());
}

const char *
bstar_stage_row(const struct bstar_stage *self, int half, const char *name)
{
    static char memory[BSTAR_TABLE_BYTES + 1];
    struct text text;
    text_init(&text, memory, BSTAR_TABLE_BYTES);
    bstar_table(self->halves[half], galleon_now_ns(), &text);
    assert_false(text.is_cut);
    memory[text.size] = '\0';
    char *rest = memory;
    for (char *row; (row = strsep(&rest, "\n")) != NULL;) {
        char *value = strchr(row, '\t');
        if (value != NULL && strncmp(row, name, (size_t)(value - row)) == 0 &&
            name[value - row] == '\0')
            return value + 1;
    }
    return "";
}
