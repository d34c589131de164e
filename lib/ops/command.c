// command.c - posix_spawn, two pipes, and a poll that does all the waiting.
//
// The process has threads of libzmq's by now, so nothing of ours runs between fork and
// exec: posix_spawn does all of it. The command's end is awaited by a pidfd, in the same
// poll, and it is reaped last of all: until then its pid, and with it its group, are
// nobody else's, and can be killed without a doubt.

#include "command.h"

#include "list.h"
#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <galleon/mdp.h>
#include <galleon/status.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    OUTPUT_BYTES_MIN = 4096,
    TERM_MS = 500,      // from SIGTERM to SIGKILL
    STARTING_MS = 1000, // for commands that are about to start when all are killed
};

struct output {
    uint8_t *bytes;
    size_t size;
    size_t capacity; // at most size_max
    size_t size_max;
};

struct run {
    struct list_node node; // in `running`
    pid_t pid;             // of the command and of its group
    int pid_fd;            // readable once it has ended; -1: it has, and we know
    int input_fd;          // ours to write; -1: closed
    int output_fd;         // ours to read; -1: closed
    bool is_time_over;
    zmsg_t *input;
    size_t offset; // in its first frame
    struct output output;
};

// What comes of a look at the command, and in the end of its run.
enum outcome { GOES_ON, IS_WHOLE, HAS_TOO_MUCH, HAS_NO_MEMORY, WAS_STOPPED };

static const uint64_t ns_per_ms = 1000000;

// ---- what runs, in any thread -----------------------------------------------------------

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list running = {.head = {&running.head, &running.head}};
static size_t starting_count = 0; // between may_start and has_started
static bool is_over = false;

static bool
may_start(void)
{
    pthread_mutex_lock(&mutex);
    bool may = !is_over;
    starting_count += may ? 1 : 0;
    pthread_mutex_unlock(&mutex);
    return may;
}

// has_started: not one lock from before the start to here, which would make the threads
// start their commands one after the other.
static void
has_started(struct run *self, bool is_running)
{
    pthread_mutex_lock(&mutex);
    starting_count--;
    if (is_running)
        list_append(&running, &self->node);
    pthread_mutex_unlock(&mutex);
}

// cut_off kills the group, and the command also where it has left the group.
static void
cut_off(const struct run *self)
{
    kill(-self->pid, SIGKILL);
    kill(self->pid, SIGKILL);
}

void
command_kill_all(void)
{
    pthread_mutex_lock(&mutex);
    is_over = true;
    for (int i = 0; starting_count > 0 && i < STARTING_MS; i++) {
        pthread_mutex_unlock(&mutex);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&mutex);
    }
    list_each (node, &running)
        cut_off(list_object(node, struct run, node));
    pthread_mutex_unlock(&mutex);
}

// reap returns how the command ended. Nobody can kill it from here on: it has ended, or
// was killed.
static int
reap(struct run *self)
{
    int ending;
    pid_t pid;
    pthread_mutex_lock(&mutex);
    list_remove(&running, &self->node);
    pthread_mutex_unlock(&mutex);
    do
        pid = waitpid(self->pid, &ending, 0);
    while (pid < 0 && errno == EINTR);
    must(pid == self->pid);
    return ending;
}

// ---- starting -------------------------------------------------------------------------

static void
close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int
spawn(char *const *argv, const int input[2], const int output[2], pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGXFSZ);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int error = posix_spawnp(pid_out, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

// start_between begins the command; our ends of the pipes do not block. Returns 0 or an
// errno.
static int
start_between(struct run *self, char *const *argv, const int input[2], const int output[2])
{
    fcntl(input[1], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    if (!may_start())
        return ECANCELED;
    int error = spawn(argv, input, output, &self->pid);
    has_started(self, error == 0);
    if (error != 0)
        return error;
    self->pid_fd = (int)syscall(SYS_pidfd_open, self->pid, 0);
    if (self->pid_fd >= 0)
        return 0;
    error = errno;
    cut_off(self);
    (void)reap(self);
    return error;
}

// start begins the command; the ends of the pipes that are its own are closed here.
// Returns 0 or an errno.
static int
start(struct run *self, char *const *argv)
{
    int input[2] = {-1, -1};
    int output[2] = {-1, -1};
    int error = 0;
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        error = errno;
    else
        error = start_between(self, argv, input, output);
    self->input_fd = input[1];
    self->output_fd = output[0];
    close_end(&input[0]);
    close_end(&output[1]);
    return error;
}

// ---- input and output --------------------------------------------------------------------

// write_some writes what the pipe takes of the message, from *offset in its first frame;
// true when there is nothing left, or nobody reads.
static bool
write_some(int fd, zmsg_t *message, size_t *offset)
{
    zframe_t *frame;
    while ((frame = zmsg_first(message)) != NULL) {
        size_t left = zframe_size(frame) - *offset;
        ssize_t written = left == 0 ? 0 : write(fd, zframe_data(frame) + *offset, left);
        if (written < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (written < 0)
            return true;
        *offset += (size_t)written;
        if (*offset < zframe_size(frame))
            continue;
        frame = zmsg_pop(message);
        zframe_destroy(&frame);
        *offset = 0;
    }
    return true;
}

// make_room doubles the room, up to the limit; false: there is no memory for it.
static bool
make_room(struct output *output)
{
    size_t capacity = OUTPUT_BYTES_MIN;
    if (output->capacity > 0)
        capacity = output->capacity < output->size_max / 2 ? 2 * output->capacity : SIZE_MAX;
    if (capacity > output->size_max)
        capacity = output->size_max;
    uint8_t *bytes = realloc(output->bytes, capacity);
    if (bytes == NULL)
        return false;
    output->bytes = bytes;
    output->capacity = capacity;
    return true;
}

// read_some reads some of what is there. At the limit one byte more tells too much from
// all.
static enum outcome
read_some(int fd, struct output *output)
{
    uint8_t more;
    uint8_t *to = &more;
    size_t room = 1;
    if (output->size < output->size_max) {
        if (output->size == output->capacity && !make_room(output))
            return HAS_NO_MEMORY;
        to = output->bytes + output->size;
        room = output->capacity - output->size;
    }
    ssize_t count = read(fd, to, room);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return GOES_ON;
    if (count <= 0)
        return IS_WHOLE;
    if (to == &more)
        return HAS_TOO_MUCH;
    output->size += (size_t)count;
    return GOES_ON;
}

// exchange waits until something happens, and writes and reads what it can.
static enum outcome
exchange(struct run *self, int end_fd, int timeout_ms)
{
    enum { INPUT, OUTPUT, ENDED, TIME_OVER, ITEMS };
    struct pollfd items[ITEMS] = {
        [INPUT] = {.fd = self->input_fd, .events = POLLOUT},
        [OUTPUT] = {.fd = self->output_fd, .events = POLLIN},
        [ENDED] = {.fd = self->pid_fd, .events = POLLIN},
        [TIME_OVER] = {.fd = self->is_time_over ? -1 : end_fd, .events = POLLIN}};
    poll(items, ITEMS, timeout_ms);
    if (items[INPUT].revents != 0 && write_some(self->input_fd, self->input, &self->offset))
        close_end(&self->input_fd);
    if (items[OUTPUT].revents != 0) {
        enum outcome outcome = read_some(self->output_fd, &self->output);
        if (outcome == IS_WHOLE)
            close_end(&self->output_fd);
        else if (outcome != GOES_ON)
            return outcome;
    }
    if (items[ENDED].revents != 0)
        close_end(&self->pid_fd);
    if (items[TIME_OVER].revents != 0)
        self->is_time_over = true;
    return self->output_fd < 0 && self->pid_fd < 0 ? IS_WHOLE : GOES_ON;
}

// attend stays with the command until it has ended and has said all, or is to be cut off.
static enum outcome
attend(struct run *self, int end_fd)
{
    uint64_t kill_ns = UINT64_MAX; // known once it was asked to end
    int timeout_ms = -1;
    for (;;) {
        enum outcome outcome = exchange(self, end_fd, timeout_ms);
        if (outcome != GOES_ON)
            return kill_ns == UINT64_MAX ? outcome : WAS_STOPPED;
        if (!self->is_time_over)
            continue;
        uint64_t now_ns = galleon_now_ns();
        if (kill_ns == UINT64_MAX) {
            kill(-self->pid, SIGTERM);
            kill_ns = now_ns + TERM_MS * ns_per_ms;
        }
        if (now_ns >= kill_ns)
            return WAS_STOPPED;
        timeout_ms = (int)((kill_ns - now_ns + ns_per_ms - 1) / ns_per_ms);
    }
}

// ---- the end ---------------------------------------------------------------------------------

// judge returns the status of a run, and says why it is not 200.
static int
judge(enum outcome outcome, int ending, size_t size_max, char text[COMMAND_TEXT_BYTES])
{
    if (outcome == HAS_TOO_MUCH) {
        snprintf(text, COMMAND_TEXT_BYTES, "the output has more than %zu bytes", size_max);
        return MDP_TOO_LARGE;
    }
    if (outcome == HAS_NO_MEMORY)
        snprintf(text, COMMAND_TEXT_BYTES, "there is no memory for the output");
    else if (outcome == WAS_STOPPED)
        snprintf(text, COMMAND_TEXT_BYTES, "stopped while it ran");
    else if (WIFSIGNALED(ending))
        snprintf(text, COMMAND_TEXT_BYTES, "ended by signal %d", WTERMSIG(ending));
    else if (WEXITSTATUS(ending) != 0)
        snprintf(text, COMMAND_TEXT_BYTES, "exit status %d", WEXITSTATUS(ending));
    else
        return MDP_DONE;
    return MDP_FAILED;
}

// run leaves nothing open but the output's bytes.
static int
run(struct run *self, char *const *argv, int end_fd, char text[COMMAND_TEXT_BYTES])
{
    int status = MDP_FAILED;
    int error = start(self, argv);
    if (error == 0) {
        enum outcome outcome = attend(self, end_fd);
        if (outcome != IS_WHOLE)
            cut_off(self);
        status = judge(outcome, reap(self), self->output.size_max, text);
    } else {
        snprintf(text, COMMAND_TEXT_BYTES, "cannot run %.60s: %s", argv[0], strerror(error));
    }
    close_end(&self->input_fd);
    close_end(&self->output_fd);
    close_end(&self->pid_fd);
    return status;
}

// message_of makes a message of one frame; NULL: out of memory.
static zmsg_t *
message_of(const struct output *output)
{
    zframe_t *frame = zframe_new(output->bytes, output->size);
    if (frame == NULL)
        return NULL;
    zmsg_t *message = zmsg_new();
    zmsg_append(message, &frame);
    return message;
}

int
command_run(char *const *argv, const struct command_terms *terms, zmsg_t **input_p,
            zmsg_t **output_out, char text[COMMAND_TEXT_BYTES])
{
    uint64_t size_max = terms->output_bytes_max;
    struct run self = {.pid_fd = -1,
                       .input = *input_p,
                       .output.size_max = size_max < SIZE_MAX ? (size_t)size_max : SIZE_MAX};
    *output_out = NULL;
    text[0] = '\0';
    int status = run(&self, argv, terms->end_fd, text);
    zmsg_destroy(input_p);
    if (status == MDP_DONE) {
        *output_out = message_of(&self.output);
        if (*output_out == NULL)
            status = judge(HAS_NO_MEMORY, 0, 0, text);
    }
    free(self.output.bytes);
    return status;
}
