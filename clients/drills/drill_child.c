// drill_child.c - posix_spawn, and what a child does before it is itself.
//
// The tool has threads of libzmq's, so nothing of ours runs between fork and exec; what has to
// run in the child (PR_SET_PDEATHSIG) runs in a second life of the tool.

#include "drill_child.h"

#include "drill_worker.h"
#include "options.h"
#include "text.h"

#include <galleon/status.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- the tool's side ------------------------------------------------------------------------

static int
spawn(struct drill_child *self, char *const *argv)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t blocked;
    sigset_t defaults;
    sigemptyset(&blocked);
    sigfillset(&defaults);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, self->log,
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &blocked);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int error = posix_spawn(&self->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

// file_bytes is how long a file is, 0 where there is none.
static long
file_bytes(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    long bytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    fclose(file);
    return bytes;
}

bool
drill_child_start(struct drill_child *self, const char *const *arguments)
{
    char parent[16];
    char *argv[DRILL_ARGUMENTS_MAX + 4] = {(char *)(uintptr_t) "galleon",
                                           (char *)(uintptr_t)DRILL_CHILD, parent};
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    for (size_t i = 0; i < DRILL_ARGUMENTS_MAX && arguments[i] != NULL; i++)
        argv[3 + i] = (char *)(uintptr_t)arguments[i];
    self->log_start = file_bytes(self->log);
    self->is_doomed = false;
    errno = spawn(self, argv);
    self->is_running = errno == 0;
    return self->is_running;
}

static bool
reap(struct drill_child *self, int how)
{
    pid_t pid;
    do
        pid = waitpid(self->pid, &self->ending, how);
    while (pid < 0 && errno == EINTR);
    if (pid == self->pid)
        self->is_running = false;
    return !self->is_running;
}

bool
drill_child_has_ended(struct drill_child *self)
{
    return !self->is_running || reap(self, WNOHANG);
}

void
drill_child_signal(const struct drill_child *self, int signal)
{
    if (self->is_running)
        kill(self->pid, signal);
}

bool
drill_child_kill(struct drill_child *self)
{
    self->is_doomed = true;
    drill_child_signal(self, SIGKILL);
    if (self->is_running)
        (void)reap(self, 0);
    return !self->is_running && WIFSIGNALED(self->ending) && WTERMSIG(self->ending) == SIGKILL;
}

// is_stopped: by SIGSTOP, and not by one who traces it.
static bool
is_stopped(const struct drill_child *self)
{
    char path[32], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)self->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool is_read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    const char *name_end = strrchr(line, ')'); // PID (NAME) STATE ...
    return is_read && name_end != NULL && strncmp(name_end, ") T", 3) == 0;
}

bool
drill_child_stop(struct drill_child *self, uint32_t ms)
{
    if (!self->is_running)
        return true;
    self->is_doomed = true;
    drill_child_signal(self, SIGTERM);
    for (uint64_t end_ns = galleon_now_ns() + ms * 1000000ull; galleon_now_ns() < end_ns;) {
        if (drill_child_has_ended(self))
            return WIFEXITED(self->ending) && WEXITSTATUS(self->ending) == 0;
        // Only where it is stopped: SIGCONT takes back every SIGSTOP that has not arrived yet, also
        // that by which LeakSanitizer stops the threads of a process that ends already, and it
        // would wait for that for ever.
        if (is_stopped(self))
            drill_child_signal(self, SIGCONT);
        poll(NULL, 0, 1);
    }
    (void)drill_child_kill(self);
    return false;
}

void
drill_child_describe(const struct drill_child *self, char text_out[DRILL_ENDING_BYTES])
{
    if (WIFSIGNALED(self->ending))
        snprintf(text_out, DRILL_ENDING_BYTES, "by signal %d", WTERMSIG(self->ending));
    else
        snprintf(text_out, DRILL_ENDING_BYTES, "with exit code %d", WEXITSTATUS(self->ending));
}

// find_beside is where something is next to this program, or by the way from there.
static bool
find_beside(const char *name, char path_out[DRILL_PATH_BYTES])
{
    ssize_t size = readlink("/proc/self/exe", path_out, DRILL_PATH_BYTES - 1);
    path_out[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(path_out, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - path_out) + 1;
    int rest = snprintf(path_out + folder, DRILL_PATH_BYTES - folder, "%s", name);
    return folder > 0 && (size_t)rest < DRILL_PATH_BYTES - folder && access(path_out, R_OK) == 0;
}

void
drill_child_find(const char *program, char path_out[DRILL_PATH_BYTES])
{
    if (!find_beside(program, path_out) || access(path_out, X_OK) != 0)
        snprintf(path_out, DRILL_PATH_BYTES, "%s", program);
}

bool
drill_child_find_library(const char *library, char path_out[DRILL_PATH_BYTES])
{
    char installed[DRILL_PATH_BYTES];
    snprintf(installed, sizeof installed, "%s/%s", GALLEON_LIBRARY_FOLDER, library);
    if (!find_beside(library, path_out) && !find_beside(installed, path_out))
        return false;
    return strpbrk(path_out, " :") == NULL;
}

// ---- the child's side -----------------------------------------------------------------------

// die_with makes the kernel kill us when the tool dies; false where it is dead already.
static bool
die_with(const char *parent)
{
    uint64_t number;
    return text_parse_number(view_of(parent, strlen(parent)), &number) &&
           prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && (uint64_t)getppid() == number;
}

// preload puts a library before all of what this process becomes. AddressSanitizer wants to be the
// first library, and need not be.
static bool
preload(const char *library)
{
    char text[2048];
    const char *others = getenv("LD_PRELOAD"), *options = getenv("ASAN_OPTIONS");
    int size = snprintf(text, sizeof text, "%s:%s", library, others != NULL ? others : "");
    if ((size_t)size >= sizeof text || setenv("LD_PRELOAD", text, 1) != 0)
        return false;
    size =
        snprintf(text, sizeof text, "%s:verify_asan_link_order=0", options != NULL ? options : "");
    return (size_t)size < sizeof text && setenv("ASAN_OPTIONS", text, 1) == 0;
}

// lose_unsynced makes what this process becomes lose what it does not sync.
static bool
lose_unsynced(const char *library, const char *folder, const char *kill_at)
{
    return preload(library) && setenv("GALLEON_UNSYNCED", folder, 1) == 0 &&
           setenv("GALLEON_UNSYNCED_KILL", kill_at, 1) == 0;
}

int
drill_child_main(int argc, char **argv)
{
    if (argc < 3 || !die_with(argv[0]))
        return EXIT_USAGE;
    const char *what = argv[1];
    if (strcmp(what, DRILL_CHILD_WORKER) == 0)
        return drill_worker_main(argc - 2, argv + 2);
    if (strcmp(what, DRILL_CHILD_CLIENT) == 0)
        return drill_client_main(argc - 2, argv + 2);
    if (strcmp(what, DRILL_CHILD_PIRATE) == 0)
        return drill_pirate_main(argc - 2, argv + 2);
    if (strcmp(what, DRILL_CHILD_LOSING) == 0) {
        if (argc < 6 || !lose_unsynced(argv[2], argv[3], argv[4]))
            return EXIT_USAGE;
        argv += 3;
    } else if (strcmp(what, DRILL_CHILD_STEPPED) == 0) {
        if (argc < 5 || !preload(argv[2]) || setenv("GALLEON_CLOCK", argv[3], 1) != 0)
            return EXIT_USAGE;
        argv += 2;
    } else if (strcmp(what, DRILL_CHILD_PROGRAM) != 0) {
        return EXIT_USAGE;
    }
    execvp(argv[2], argv + 2);
    fprintf(stderr, "galleon: cannot run %s: %s\n", argv[2], strerror(errno));
    return EXIT_FAILED;
}
