# boxcam::boxcam, all libraries behind <boxcam/boxcam.h>, and what `cmake --install` makes of them: libraries, headers
# and the package that find_package(boxcam CONFIG) finds.
set(package ${CMAKE_CURRENT_LIST_DIR}/package)
add_library(boxcam_all INTERFACE)
add_library(boxcam::boxcam ALIAS boxcam_all)
set_target_properties(boxcam_all PROPERTIES EXPORT_NAME boxcam)
target_link_libraries(boxcam_all INTERFACE boxcam_xai boxcam_models)
target_include_directories(boxcam_all INTERFACE $<BUILD_INTERFACE:${package}> $<INSTALL_INTERFACE:include>)
if(NOT BOXCAM_INSTALL)
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(targets boxcam_all boxcam_xai boxcam_models boxcam_nn boxcam_engine boxcam_options)
if(BOXCAM_HAS_CUDA)
  list(APPEND targets boxcam_cudnn)
endif()
install(TARGETS ${targets} EXPORT boxcam)

# The public headers are those that boxcam.h names; structure_test sees to it that they include no others.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${package}/boxcam/boxcam.h)
install(FILES ${package}/boxcam/boxcam.h DESTINATION include/boxcam)
file(STRINGS ${package}/boxcam/boxcam.h headers REGEX "^#include \"")
foreach(line IN LISTS headers)
  string(REGEX REPLACE "^#include \"(.*)\"$" "\\1" header ${line})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION include/boxcam/${folder})
endforeach()

set(cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/boxcam)
configure_package_config_file(${package}/boxcamConfig.cmake.in ${PROJECT_BINARY_DIR}/boxcamConfig.cmake
  INSTALL_DESTINATION ${cmake_folder} NO_SET_AND_CHECK_MACRO)
# 0.x promises nothing from one minor version to the next.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/boxcamConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT boxcam NAMESPACE boxcam:: DESTINATION ${cmake_folder} FILE boxcamTargets.cmake)
install(FILES ${PROJECT_BINARY_DIR}/boxcamConfig.cmake ${PROJECT_BINARY_DIR}/boxcamConfigVersion.cmake
  DESTINATION ${cmake_folder})
