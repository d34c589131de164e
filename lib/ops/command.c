// command.c - posix_spawn, two pipes, and a poll that writes and reads at once.
//
// The process has threads of libzmq's by now, so nothing of ours runs between fork and
// exec: posix_spawn does all of it.

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <galleon/mdp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { OUTPUT_BYTES_MIN = 4096 };

struct output {
    uint8_t *bytes;
    size_t size;
    size_t capacity; // at most size_max
    size_t size_max;
};

// What comes of a look at the output, and in the end of the run.
enum outcome { GOES_ON, IS_WHOLE, HAS_TOO_MUCH, HAS_NO_MEMORY };

// ---- starting -------------------------------------------------------------------------

// close_pipe closes what is open of both ends.
static void
close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

static int
spawn(char *const *argv, const int input[2], const int output[2], pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t blocked;
    sigset_t defaults;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &blocked);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int error = posix_spawnp(pid_out, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

// start begins the command; its ends of the pipes are closed here, ours do not block.
// Returns 0 or an errno.
static int
start(char *const *argv, int input[2], int output[2], pid_t *pid_out)
{
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        return errno;
    int error = spawn(argv, input, output, pid_out);
    if (error != 0)
        return error;
    close(input[0]);
    close(output[1]);
    input[0] = output[1] = -1;
    fcntl(input[1], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    return 0;
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

// exchange writes and reads until the command has said all, or more than there is room
// for.
static enum outcome
exchange(int input[2], int output[2], zmsg_t *message, struct output *into)
{
    size_t offset = 0;
    for (;;) {
        struct pollfd items[2] = {{.fd = output[0], .events = POLLIN},
                                  {.fd = input[1], .events = POLLOUT}};
        poll(items, 2, -1);
        if (input[1] >= 0 && items[1].revents != 0 && write_some(input[1], message, &offset)) {
            close(input[1]);
            input[1] = -1;
        }
        enum outcome outcome = items[0].revents != 0 ? read_some(output[0], into) : GOES_ON;
        if (outcome != GOES_ON)
            return outcome;
    }
}

// ---- the end ---------------------------------------------------------------------------------

static int
wait_for(pid_t pid, char text[COMMAND_TEXT_BYTES])
{
    int ending;
    while (waitpid(pid, &ending, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(ending) && WEXITSTATUS(ending) == 0)
        return MDP_DONE;
    if (WIFEXITED(ending))
        snprintf(text, COMMAND_TEXT_BYTES, "exit status %d", WEXITSTATUS(ending));
    else
        snprintf(text, COMMAND_TEXT_BYTES, "ended by signal %d", WTERMSIG(ending));
    return MDP_FAILED;
}

static int
run(char *const *argv, zmsg_t *input, struct output *output, char text[COMMAND_TEXT_BYTES])
{
    int to[2] = {-1, -1};
    int from[2] = {-1, -1};
    pid_t pid;
    int error = start(argv, to, from, &pid);
    if (error != 0) {
        close_pipe(to);
        close_pipe(from);
        snprintf(text, COMMAND_TEXT_BYTES, "cannot run %.60s: %s", argv[0], strerror(error));
        return MDP_FAILED;
    }
    enum outcome outcome = exchange(to, from, input, output);
    close_pipe(to);
    close_pipe(from);
    if (outcome != IS_WHOLE)
        kill(pid, SIGKILL);
    int status = wait_for(pid, text);
    if (outcome == IS_WHOLE)
        return status;
    if (outcome == HAS_NO_MEMORY) {
        snprintf(text, COMMAND_TEXT_BYTES, "there is no memory for the output");
        return MDP_FAILED;
    }
    snprintf(text, COMMAND_TEXT_BYTES, "the output has more than %zu bytes", output->size_max);
    return MDP_TOO_LARGE;
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
    struct output output = {.size_max = size_max < SIZE_MAX ? (size_t)size_max : SIZE_MAX};
    *output_out = NULL;
    text[0] = '\0';
    int status = run(argv, *input_p, &output, text);
    zmsg_destroy(input_p);
    if (status == MDP_DONE) {
        *output_out = message_of(&output);
        if (*output_out == NULL) {
            snprintf(text, COMMAND_TEXT_BYTES, "there is no memory for the output");
            status = MDP_FAILED;
        }
    }
    free(output.bytes);
    return status;
}
