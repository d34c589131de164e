// galleon_store.c - galleon store check, info: a store that no daemon has; store backup: one that
// a daemon has.

#include "galleon_store.h"
#include "galleon_table.h"
#include "tsp.h"

#include <inttypes.h>
#include <string.h>

static void
write_counts(struct json *json, const struct store_outline *outline)
{
    const struct store_info *info = &outline->info;
    tool_json_text(json, "store_id", info->store_id);
    tool_json_number(json, "schema", info->schema);
    tool_json_number(json, "incarnation", info->incarnation);
    tool_json_number(json, "pending", info->pending);
    tool_json_number(json, "done", info->done);
    tool_json_number(json, "dead", info->dead);
    tool_json_number(json, "closed", info->closed);
    tool_json_number(json, "expired", info->expired);
    tool_json_number(json, "commits", info->commits);
    tool_json_number(json, "changes", outline->changes);
    tool_json_number(json, "audit_records", info->audit_count);
    tool_json_number(json, "file_bytes", info->file_bytes);
    tool_json_number(json, "log_bytes", info->log_bytes);
    tool_json_text(json, "kind", outline->is_copy ? "backup" : "store");
}

static void
print_outline(const struct store_outline *outline)
{
    const struct store_info *info = &outline->info;
    printf("store        %s, schema %" PRIu32 ", incarnation %" PRIu64 "\n", info->store_id,
           info->schema, info->incarnation);
    if (outline->is_copy)
        puts("             a backup: titanic raises its incarnation when it starts on it");
    printf("requests     %" PRIu64 " pending, %" PRIu64 " done, %" PRIu64 " dead, %" PRIu64
           " expired, %" PRIu64 " closed\n",
           info->pending, info->done, info->dead, info->expired, info->closed);
    printf("changes      %" PRIu64 ", %" PRIu64 " of them audited, in %" PRIu64 " commits\n",
           outline->changes, info->audit_count, info->commits);
    if (outline->has_anchor)
        printf("anchor       at change %" PRIu64 "\n", outline->anchored);
    else
        puts("anchor       none");
    printf("bytes        %" PRIu64 ", and %" PRIu64 " in the log\n", info->file_bytes,
           info->log_bytes);
}

static struct store_outline
outline_of(struct store_check *store)
{
    struct store_outline outline;
    struct store_error error = {0};
    if (!store_check_outline(store, &outline, &error))
        tool_fail("%s", error.text);
    return outline;
}

int
tool_store_info(struct tool *self)
{
    struct store_check *store = tool_look(self);
    struct store_outline outline = outline_of(store);
    store_check_close(&store);
    if (self->is_json) {
        struct json json = {.out = stdout};
        json_begin(&json, '{');
        write_counts(&json, &outline);
        json_end(&json, '}');
        putchar('\n');
    } else {
        print_outline(&outline);
    }
    return tool_end(EXIT_DONE);
}

// ---- check -----------------------------------------------------------------------------

static void
print_check_json(const struct store_outline *outline, const struct store_contents *contents,
                 const struct store_chain *chain)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    write_counts(&json, outline);
    tool_json_text(&json, "contents", contents->is_whole ? "whole" : "damaged");
    tool_json_number(&json, "digests", contents->digests);
    tool_json_number(&json, "damaged", contents->damaged);
    if (!contents->is_whole)
        tool_json_text(&json, "contents_why", contents->why);
    tool_json_text(&json, "chain", chain->is_whole ? "whole" : "broken");
    if (!chain->is_whole) {
        tool_json_number(&json, "broken", chain->broken);
        tool_json_text(&json, "why", chain->why);
    }
    json_end(&json, '}');
    putchar('\n');
}

int
tool_store_check(struct tool *self)
{
    struct store_check *store = tool_look(self);
    struct store_outline outline = outline_of(store);
    struct store_contents contents;
    struct store_chain chain;
    store_check_contents(store, &contents);
    store_check_chain(store, NULL, &chain);
    store_check_close(&store);
    bool is_whole = contents.is_whole && chain.is_whole;
    if (self->is_json) {
        print_check_json(&outline, &contents, &chain);
    } else {
        print_outline(&outline);
        printf("read         %" PRIu64 " requests, %" PRIu64 " bodies and answers as they were "
               "stored, %" PRIu64 " not\n",
               contents.requests, contents.digests, contents.damaged);
        printf("chain        %" PRIu64 " records hold\n", chain.count);
    }
    if (!contents.is_whole)
        fprintf(stderr, "galleon: %s.\n", contents.why);
    if (!chain.is_whole)
        fprintf(stderr, "galleon: the chain breaks at record %" PRIu64 ": %s.\n", chain.broken,
                chain.why);
    if (!is_whole)
        fprintf(stderr, "galleon: the store is damaged: restore a backup of it.\n");
    return tool_end(is_whole ? EXIT_DONE : EXIT_FAILED);
}

// ---- backup ----------------------------------------------------------------------------

enum { BACKUP_MS = 3600 * 1000 }; // it takes as long as it takes, and is not asked for twice

// take_answer prints the path of the copy, or why there is none: exit code.
static int
take_answer(const struct tool *self, const char *service, zmsg_t *reply)
{
    char status[8], text[4096];
    table_copy_line(status, sizeof status, zmsg_first(reply));
    table_copy_line(text, sizeof text, zmsg_next(reply));
    if (strcmp(status, "200") != 0) {
        fprintf(stderr, "galleon: '%s' at %s answered %s %s.\n", service, self->brokers, status,
                text);
        if (self->is_json)
            tool_print_failure(GALLEON_REFUSED, (int)tsp_status_of(view_of(status, strlen(status))),
                               text, service);
        return EXIT_FAILED;
    }
    if (self->is_json) {
        struct json json = {.out = stdout};
        json_begin(&json, '{');
        tool_json_text(&json, "path", text);
        json_end(&json, '}');
        putchar('\n');
    } else {
        puts(text);
    }
    return EXIT_DONE;
}

int
tool_store_backup(struct tool *self)
{
    static const char service[] = "titanic.backup";
    if (self->client.timeout_ms == 0)
        self->client.timeout_ms = BACKUP_MS;
    if (self->client.attempts == 0)
        self->client.attempts = 1;
    mdp_client_t *client = tool_connect(self, self->brokers);
    zmsg_t *request = zmsg_new(), *reply;
    zmsg_addstr(request, self->word_count > 0 ? self->words[0] : "");
    int result = mdp_client_call(client, service, &request, &reply);
    int code = result == GALLEON_OK ? take_answer(self, service, reply)
                                    : tool_explain(self, client, result, service);
    if (result == GALLEON_OK)
        zmsg_destroy(&reply);
    mdp_client_destroy(&client);
    return tool_end(code);
}
