# install.cmake - what is installed, and how others find it: find_package(galleon) or pkg-config.

include(CMakePackageConfigHelpers)

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

get_property(program_targets GLOBAL PROPERTY GALLEON_PROGRAM_TARGETS)
if(program_targets)
  install(TARGETS ${program_targets} RUNTIME COMPONENT programs)
endif()

# What galleon preloads; it looks for it there by the way from its own folder.
install(
  TARGETS lose_unsynced step_clock
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/galleon COMPONENT programs)

install(
  TARGETS libgalleon
  EXPORT galleon-targets
  LIBRARY COMPONENT library NAMELINK_COMPONENT development)

foreach(header IN LISTS PUBLIC_HEADERS)
  cmake_path(GET header PARENT_PATH folder)
  install(
    FILES lib/include/${header}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder}
    COMPONENT development)
endforeach()

foreach(page IN LISTS MAN_PAGES)
  install(FILES docs/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT programs)
endforeach()

# ---- find_package(galleon) ----

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/galleon)
configure_package_config_file(cmake/galleon-config.cmake.in galleon-config.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(galleon-config-version.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/galleon-config.cmake
        ${PROJECT_BINARY_DIR}/galleon-config-version.cmake
  DESTINATION ${config_folder}
  COMPONENT development)
install(
  EXPORT galleon-targets
  NAMESPACE galleon::
  DESTINATION ${config_folder}
  COMPONENT development)

# ---- pkg-config: the prefix is found from where galleon.pc lies, so that the tree can move ----

set(pc_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${pc_folder}
           OUTPUT_VARIABLE prefix_from_pc)
configure_file(cmake/galleon.pc.in galleon.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/galleon.pc DESTINATION ${pc_folder} COMPONENT development)
