// galleon_durable.c - galleon submit, fetch, wait, close: durable requests.

#include "body.h"
#include "galleon_json.h"
#include "galleon_tool.h"

#include <galleon/titanic_client.h>

#include <errno.h>

static titanic_client_t *
connect_titanic(struct tool *self)
{
    titanic_client_t *client = titanic_client_new(self->brokers, &self->client);
    if (client == NULL)
        options_fail(&self->options,
                     "--broker: '%s' is no endpoint; one looks like tcp://127.0.0.1:5555.",
                     self->brokers);
    return client;
}

// explain_silence is for what nobody answered: it looks for who is there.
static int
explain_silence(struct tool *self, int result, const char *service)
{
    mdp_client_t *client = tool_connect(self, self->brokers);
    int code = tool_explain(self, client, result, service);
    mdp_client_destroy(&client);
    return code;
}

// explain says on standard error why it is not done, and returns the exit code. `id` is ""
// where there is none.
static int
explain(struct tool *self, const titanic_client_t *client, int result, const char *service,
        const char *id)
{
    int status = titanic_client_status(client);
    const char *text = titanic_client_status_text(client);
    int code =
        result == GALLEON_TIMED_OUT || result == GALLEON_PENDING ? EXIT_TIMED_OUT : EXIT_FAILED;
    if (result == GALLEON_NO_SERVICE || (result == GALLEON_TIMED_OUT && status == 0)) {
        code = explain_silence(self, result, service);
        if (code == EXIT_TIMED_OUT && *id == '\0')
            fprintf(stderr, "It may have been stored: with a --key it is safe to submit again.\n");
        return code;
    }
    if (code == EXIT_TIMED_OUT && status == 300)
        fprintf(stderr, "galleon: %s is not finished. Wait for it: galleon wait %s\n", id, id);
    else if (result == GALLEON_UNKNOWN_ID)
        fprintf(stderr, "galleon: there is no request %s.\n", id);
    else if (result == GALLEON_REFUSED && status == 500 && *id != '\0')
        fprintf(stderr, "galleon: %s was given up: %s.\n", id, text);
    else if (status != 0)
        fprintf(stderr, "galleon: '%s' at %s answered %d %s.\n", service, self->brokers, status,
                text);
    else
        fprintf(stderr, "galleon: %s.\n", galleon_strerror(result));
    if (self->is_json)
        tool_print_failure(result, status, text, service);
    return code;
}

static void
write_text(struct json *json, const char *name, const char *text)
{
    json_key(json, view_of(name, strlen(name)));
    json_text(json, view_of(text, strlen(text)));
}

// submit_service is what a submit asks: the client takes RFC 9's where that is enough.
static const char *
submit_service(const titanic_submit_options_t *options)
{
    bool has_options = options->idempotency_key != NULL || options->not_before_ms > 0 ||
                       options->deadline_ms > 0 || options->attempts > 0;
    return has_options ? "titanic.submit" : "titanic.request";
}

int
tool_submit(struct tool *self)
{
    titanic_client_t *client = connect_titanic(self);
    zmsg_t *request = body_of_words(self->words + 1, self->word_count - 1);
    if (request == NULL)
        tool_fail("cannot read standard input: %s", strerror(errno));
    titanic_id_t id;
    int result = titanic_client_submit(client, self->words[0], &request, &self->submit, &id);
    int code = EXIT_DONE;
    if (result != GALLEON_OK) {
        code = explain(self, client, result, submit_service(&self->submit), "");
    } else if (self->is_json) {
        struct json json = {.out = stdout};
        json_begin(&json, '{');
        write_text(&json, "id", id.text);
        json_end(&json, '}');
        putchar('\n');
    } else {
        puts(id.text);
    }
    titanic_client_destroy(&client);
    return tool_end(code);
}

static titanic_id_t
read_id(struct tool *self)
{
    titanic_id_t id;
    if (strlen(self->words[0]) >= sizeof id.text)
        options_fail(&self->options, "'%s' can be no id: it is longer than 36 characters.",
                     self->words[0]);
    snprintf(id.text, sizeof id.text, "%s", self->words[0]);
    return id;
}

static void
print_reply_json(const titanic_id_t *id, zmsg_t *reply)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    write_text(&json, "id", id->text);
    json_key(&json, VIEW_LITERAL("status"));
    json_number(&json, MDP_DONE);
    if (reply != NULL) {
        json_key(&json, VIEW_LITERAL("body"));
        json_begin(&json, '[');
        for (zframe_t *frame = zmsg_first(reply); frame != NULL; frame = zmsg_next(reply))
            json_bytes(&json, view_of(zframe_data(frame), zframe_size(frame)));
        json_end(&json, ']');
    }
    json_end(&json, '}');
    putchar('\n');
}

// end prints what a request has become.
static int
end(struct tool *self, titanic_client_t **client_p, int result, const char *service,
    const titanic_id_t *id, zmsg_t **reply_p)
{
    int code = EXIT_DONE;
    if (result != GALLEON_OK)
        code = explain(self, *client_p, result, service, id->text);
    else if (self->is_json)
        print_reply_json(id, *reply_p);
    else if (*reply_p != NULL)
        body_print(*reply_p);
    zmsg_destroy(reply_p);
    titanic_client_destroy(client_p);
    return tool_end(code);
}

int
tool_fetch(struct tool *self)
{
    titanic_id_t id = read_id(self);
    titanic_client_t *client = connect_titanic(self);
    zmsg_t *reply;
    int result = titanic_client_fetch(client, &id, &reply);
    return end(self, &client, result, "titanic.reply", &id, &reply);
}

int
tool_wait(struct tool *self)
{
    titanic_id_t id = read_id(self);
    titanic_client_t *client = connect_titanic(self);
    zmsg_t *reply;
    int result = titanic_client_wait(client, &id, self->wait_ms, &reply);
    return end(self, &client, result, "titanic.reply", &id, &reply);
}

int
tool_close(struct tool *self)
{
    titanic_id_t id = read_id(self);
    titanic_client_t *client = connect_titanic(self);
    zmsg_t *reply = NULL;
    int result = titanic_client_close(client, &id);
    return end(self, &client, result, "titanic.close", &id, &reply);
}
