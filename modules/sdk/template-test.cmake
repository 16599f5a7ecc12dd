# Installs the kit into a scratch prefix, makes a module project from the template, and builds and tests it there, as an
# author would: cmake -DBUILD=build-directory -DSCRATCH=directory -P template-test.cmake
cmake_minimum_required(VERSION 3.25)
set(prefix ${SCRATCH}/prefix)
set(project ${SCRATCH}/first-try)
file(REMOVE_RECURSE ${SCRATCH})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE talk ERROR_VARIABLE talk)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${talk}\nended with ${status}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix} --component sdk)
file(GLOB_RECURSE template ${prefix}/*/cmake/Grayling/template/module.yaml)
if(NOT template)
  message(FATAL_ERROR "expected cmake/Grayling/template below ${prefix}; the kit was not installed")
endif()
get_filename_component(template ${template} DIRECTORY)
set(MODULE first-try)
set(INTERFACE first)
foreach(file CMakeLists.txt module.yaml module.c module-test.c)
  configure_file(${template}/${file} ${project}/${file} @ONLY)
endforeach()

run(${CMAKE_COMMAND} -S ${project} -B ${project}/build -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_FLAGS=-Werror)
run(${CMAKE_COMMAND} --build ${project}/build)
run(${CMAKE_CTEST_COMMAND} --test-dir ${project}/build --no-tests=error --output-on-failure)

# the contract in the file is the one that was written
file(STRINGS ${project}/build/modules/first-try-1.0.0.so contract REGEX "\"module\":\"first-try\",\"version\":\"1.0.0\"")
if(NOT contract)
  message(FATAL_ERROR "expected the contract of first-try 1.0.0 in the built file, found none")
endif()

# and a mistake in it stops the build with its line
file(APPEND ${project}/module.yaml "deadline: soon\n")
execute_process(COMMAND ${CMAKE_COMMAND} --build ${project}/build RESULT_VARIABLE status OUTPUT_VARIABLE talk ERROR_VARIABLE talk)
if(status EQUAL 0 OR NOT talk MATCHES "module.yaml:14: \"deadline\" is not a field of a contract")
  message(FATAL_ERROR "expected the build to stop at line 14 of module.yaml, got status ${status}:\n${talk}")
endif()
file(REMOVE_RECURSE ${SCRATCH})
