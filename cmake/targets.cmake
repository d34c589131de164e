# targets.cmake - what a floor, the library, a program, a test and a fuzz target are.

include(GNUInstallDirs)

# galleon_floor makes the static library galleon_<name> of lib/<name>, which sees its own headers
# and those of the floors below, a list, and no others.
function(galleon_floor name below)
  set(target galleon_${name})
  set(scope PUBLIC)
  if(ARGN)
    list(TRANSFORM ARGN PREPEND lib/${name}/ OUTPUT_VARIABLE sources)
    add_library(${target} STATIC ${sources})
  else()
    # No file yet: only the include path, and the way down.
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  # -iquote: our link.h and wait.h must not hide the system's.
  target_compile_options(${target} ${scope} "SHELL:-iquote ${PROJECT_SOURCE_DIR}/lib/${name}")
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/lib/include)
  foreach(floor_below IN LISTS below)
    target_link_libraries(${target} ${scope} galleon_${floor_below})
  endforeach()
  if(name STREQUAL "wire")
    target_link_libraries(${target} ${scope} PkgConfig::GALLEON_SODIUM)
  endif()
  if(name STREQUAL "store")
    target_compile_definitions(${target} ${scope} _GNU_SOURCE)
    target_link_libraries(${target} ${scope} PkgConfig::GALLEON_SQLITE)
  endif()
  if(name STREQUAL "shell")
    # From here up the system is ours to call. Base, wire and core are plain C11.
    target_compile_definitions(${target} ${scope} _GNU_SOURCE
                                                   GALLEON_VERSION="${PROJECT_VERSION}")
    target_link_libraries(${target} ${scope} PkgConfig::GALLEON_CZMQ Threads::Threads)
  endif()
endfunction()

# galleon_library makes libgalleon.so of all objects of the floors named, whole.
function(galleon_library)
  add_library(libgalleon SHARED)
  foreach(floor IN LISTS ARGN)
    get_target_property(type galleon_${floor} TYPE)
    if(type STREQUAL "STATIC_LIBRARY")
      target_sources(libgalleon PRIVATE $<TARGET_OBJECTS:galleon_${floor}>)
    endif()
  endforeach()
  target_include_directories(
    libgalleon PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/lib/include>
                      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(
    libgalleon PUBLIC PkgConfig::GALLEON_CZMQ
    PRIVATE PkgConfig::GALLEON_SODIUM PkgConfig::GALLEON_SQLITE Threads::Threads)
  if(NOT GALLEON_SANITIZE)
    target_link_options(libgalleon PRIVATE -Wl,--no-undefined)
  endif()
  set_target_properties(
    libgalleon
    PROPERTIES OUTPUT_NAME galleon
               EXPORT_NAME galleon
               LINKER_LANGUAGE C
               VERSION ${PROJECT_VERSION}
               SOVERSION 0)
  add_library(galleon::galleon ALIAS libgalleon)
endfunction()

# galleon_program makes the program of a main() in <folder>/<name>.c, linked statically against
# the floors. What it has besides, <name>_MORE, is also there as <name>_parts.
function(galleon_program source)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  if(DEFINED ${name}_MORE)
    add_library(${name}_parts OBJECT ${${name}_MORE})
    target_link_libraries(${name}_parts PUBLIC galleon_ops)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_parts>)
  endif()
  target_link_libraries(${name} PRIVATE galleon_ops)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  add_dependencies(programs ${name})
  set_property(GLOBAL APPEND PROPERTY GALLEON_PROGRAM_TARGETS ${name})
endfunction()

# galleon_test makes a cmocka test of one floor and registers it:
#
#   galleon_test(<name> <floor> <source>... [LABELS label...] [LIBRARIES target...]
#                [TIMEOUT seconds] [SERIAL])
#
# It links the floor and those below. Its label is `unit` for base, wire and core, and the floor's
# name above; LABELS adds to it. A test labelled `long` runs in `./dev test --long` only. SERIAL is
# for what measures time. A test that exits with 77 is counted as skipped.
function(galleon_test name floor)
  cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL" "TIMEOUT" "LABELS;LIBRARIES")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE galleon_${floor} galleon_test_support ${arg_LIBRARIES})
  set(label ${floor})
  if(floor MATCHES "^(base|wire|core)$")
    set(label unit)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  galleon_register(${name} "${arg_TIMEOUT}" "${arg_SERIAL}" ${label} ${arg_LABELS})
endfunction()

# galleon_script_test registers a test that is a script. It finds the programs in the folder that
# the environment's GALLEON_BUILD names.
#
#   galleon_script_test(<name> COMMAND <command>... [LABELS label...] [TIMEOUT seconds]
#                       [SERIAL | CALM | EARLY])
#
# CALM is for what measures time with generous bounds: it begins first, and with four jobs one other
# test runs beside it. EARLY is for what takes longest: it begins next, so that nobody waits for it in
# the end.
function(galleon_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;CALM;EARLY" "TIMEOUT" "LABELS;COMMAND")
  add_test(NAME ${name} COMMAND ${arg_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  galleon_register(${name} "${arg_TIMEOUT}" "${arg_SERIAL}" ${arg_LABELS})
  if(arg_CALM)
    set_tests_properties(${name} PROPERTIES PROCESSORS 3 COST 1000)
  elseif(arg_EARLY)
    set_tests_properties(${name} PROPERTIES COST 500)
  endif()
endfunction()

function(galleon_register name timeout serial)
  if(NOT timeout)
    set(timeout 120)
  endif()
  if(NOT serial)
    set(serial FALSE)
  endif()
  set(environment GALLEON_SOURCE=${PROJECT_SOURCE_DIR} GALLEON_BUILD=${PROJECT_BINARY_DIR}
                  GALLEON_BIN=${PROJECT_BINARY_DIR}
                  PYTHONDONTWRITEBYTECODE=1)
  set_tests_properties(
    ${name}
    PROPERTIES LABELS "${ARGN}"
               TIMEOUT ${timeout}
               RUN_SERIAL ${serial}
               SKIP_RETURN_CODE 77
               ENVIRONMENT "${environment}")
endfunction()

# galleon_fuzz makes a fuzz target, whose source has LLVMFuzzerTestOneInput. In the fuzz preset
# libFuzzer drives it, for GALLEON_FUZZ_SECONDS (5). In all others it is given every file of
# tests/fuzz/corpus/<name>, and some thousand inputs made from them.
#
#   galleon_fuzz(<name> <floor> <source>... [LIBRARIES target...])
function(galleon_fuzz name floor)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LIBRARIES")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE galleon_${floor} ${arg_LIBRARIES})
  # libFuzzer calls it by this name; no header declares it.
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
  if(GALLEON_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(how fuzz)
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    set(how replay)
  endif()
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run ${how} $<TARGET_FILE:${name}>
           WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
  galleon_register(${name} 300 FALSE fuzz)
endfunction()
