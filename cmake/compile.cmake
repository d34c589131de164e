# compile.cmake - how every file of the project is compiled and linked.

include(CheckIPOSupported)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# One object file serves the archive, the shared library and the programs.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES C)

add_compile_options(
  -Wall
  -Wextra
  -Wshadow
  -Wconversion
  -Wstrict-prototypes
  -Wmissing-prototypes
  -Wpointer-arith
  -Wcast-qual
  -Wwrite-strings
  -Wvla
  -Wundef
  $<$<BOOL:${GALLEON_WERROR}>:-Werror>)

# ---- Hardening ----

set(OPTIMIZED $<CONFIG:Release,RelWithDebInfo,MinSizeRel>)
add_compile_options(-fstack-protector-strong)
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
if(NOT GALLEON_SANITIZE AND NOT GALLEON_FUZZ)
  # A sanitizer brings checks of its own, which a fortified libc call would pass by.
  add_compile_options($<${OPTIMIZED}:-U_FORTIFY_SOURCE> $<${OPTIMIZED}:-D_FORTIFY_SOURCE=2>)
endif()

# ---- Sanitizers ----

if(GALLEON_SANITIZE)
  add_compile_options(-fsanitize=${GALLEON_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${GALLEON_SANITIZE})
endif()
if(GALLEON_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "GALLEON_FUZZ needs clang (this is ${CMAKE_C_COMPILER_ID}): "
                        "cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

# ---- Optimization at link time ----

if(GALLEON_LTO AND PROJECT_IS_TOP_LEVEL AND NOT GALLEON_SANITIZE AND NOT GALLEON_FUZZ)
  check_ipo_supported(RESULT HAVE_LTO OUTPUT why LANGUAGES C)
  if(HAVE_LTO)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
  else()
    message(STATUS "No optimization at link time: ${why}")
  endif()
endif()
