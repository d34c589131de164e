// tsp_filter.h - the filter of titanic.list and its like, from text.

#ifndef GALLEON_TSP_FILTER_H
#define GALLEON_TSP_FILTER_H

#include "tsp.h"

// tsp_filter_read reads into request->filter (and ->service_name) what may be asked of the
// request's service: NULL, or what is wrong with it, for people.
const char *tsp_filter_read(struct tsp_request *request, struct view text);

#endif
