# Run at every build: writes the commit that is built, and whether the tree has changes besides, into OUTPUT; where
# nothing changed the file is left alone, so that nothing is compiled again.
set(commit "unknown")
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --abbrev=40 --exclude=* --dirty
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0)
    set(commit "${found}")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "apps/common/program.h"
const char* boxcam::build_commit() { return "@commit@"; }
]] @ONLY)
