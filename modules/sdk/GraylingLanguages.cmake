# grayling_add_go_module(NAME VERSION x.y.z CONTRACT module.yaml [SOURCE_DIR dir] [OUTPUT_DIRECTORY dir] [ENVIRONMENT NAME=value...])
#   The Go package main in SOURCE_DIR (the current one), which imports "grayling". Needs Go 1.18 or newer and `isolation: process` in the contract.
#   Nothing is fetched: modules that it requires are vendored in a workspace, or ENVIRONMENT names a GOPROXY.
# grayling_add_rust_module(NAME VERSION x.y.z CONTRACT module.yaml SOURCES lib.rs [file...] [OUTPUT_DIRECTORY dir] [FLAGS flag...])
#   A crate whose root is the first of SOURCES; the crate `grayling` is there. FLAGS go to rustc (`--extern name=file.rlib`). Needs rustc 1.63 or newer.
#
# Both make the file and the target that grayling_add_module() would. Without the toolchain they are an error: ask for GRAYLING_GO and GRAYLING_RUSTC.
include_guard(GLOBAL)
find_program(GRAYLING_GO go DOC "the Go tool; Go modules cannot be built without it")
find_program(GRAYLING_RUSTC rustc DOC "the Rust compiler; Rust modules cannot be built without it")
set(GRAYLING_GO_CACHE ${CMAKE_BINARY_DIR}/go-cache CACHE PATH "what Go has compiled already")
set(GRAYLING_LANGUAGES_DIRECTORY ${CMAKE_CURRENT_LIST_DIR})

set(GRAYLING_FOREIGN_LINK -Wl,--build-id=sha1 -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack)

# What both need: the parsed arguments, the object with the contract's note, and where the file goes.
macro(grayling_begin_foreign FUNCTION NAME TOOL VALUES LISTS)
  cmake_parse_arguments(A "" "VERSION;CONTRACT;OUTPUT_DIRECTORY;${VALUES}" "${LISTS}" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${FUNCTION}(${NAME}): unknown arguments: ${A_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT A_VERSION OR NOT A_CONTRACT)
    message(FATAL_ERROR "${FUNCTION}(${NAME}): VERSION and CONTRACT are required")
  endif()
  if(NOT ${TOOL})
    message(FATAL_ERROR "${FUNCTION}(${NAME}): expected the program that ${TOOL} names, found none; install it or set ${TOOL}")
  endif()
  grayling_module_place(${NAME} ${A_VERSION} "${A_OUTPUT_DIRECTORY}" target directory)
  set(file ${directory}/${NAME}-${A_VERSION}.so)
  set(work ${CMAKE_CURRENT_BINARY_DIR}/${target}.dir)
  add_library(${target}-contract OBJECT)
  grayling_module_flags(${target}-contract)
  grayling_add_contract(${target}-contract ${NAME} ${A_VERSION} ${A_CONTRACT})
  file(MAKE_DIRECTORY ${directory} ${work})
endmacro()

macro(grayling_end_foreign)
  add_custom_target(${target} ALL DEPENDS ${file})
  set_property(GLOBAL APPEND PROPERTY GRAYLING_MODULES ${target})
endmacro()

function(grayling_add_go_module NAME)
  grayling_begin_foreign(grayling_add_go_module ${NAME} GRAYLING_GO "SOURCE_DIR" "ENVIRONMENT" ${ARGN})
  if(NOT A_SOURCE_DIR)
    set(A_SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  get_filename_component(source ${A_SOURCE_DIR} ABSOLUTE)
  set(kit ${GRAYLING_LANGUAGES_DIRECTORY}/go)
  file(GLOB_RECURSE depends CONFIGURE_DEPENDS ${source}/*.go ${source}/*.c ${source}/*.h ${source}/go.mod ${source}/go.sum ${kit}/*)
  # a workspace gives the package `grayling` to a module that need not know where it is installed
  file(CONFIGURE OUTPUT ${work}/go.work CONTENT "go 1.18\n\nuse (\n\t\"${kit}\"\n\t\"${source}\"\n)\n" @ONLY)
  list(JOIN GRAYLING_FOREIGN_LINK " " link)
  set(include $<JOIN:$<TARGET_PROPERTY:Grayling::module,INTERFACE_INCLUDE_DIRECTORIES>, -I>)
  add_custom_command(OUTPUT ${file}
    COMMAND ${CMAKE_COMMAND} -E env GOWORK=${work}/go.work GOCACHE=${GRAYLING_GO_CACHE} GOPATH=${GRAYLING_GO_CACHE}/path GOPROXY=off
      GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=1 CC=${CMAKE_C_COMPILER} "CGO_CFLAGS=-O2 -g -I${include}" ${A_ENVIRONMENT}
      ${GRAYLING_GO} build -buildmode=c-shared -trimpath -buildvcs=false
      -ldflags "-extldflags '$<TARGET_OBJECTS:${target}-contract> ${link} -Wl,--version-script=${GRAYLING_LANGUAGES_DIRECTORY}/module.map'"
      -o ${work}/module.so .
    COMMAND ${CMAKE_COMMAND} -E copy ${work}/module.so ${file} # without the header that Go writes beside it
    WORKING_DIRECTORY ${source}
    DEPENDS ${depends} ${target}-contract $<TARGET_OBJECTS:${target}-contract> ${GRAYLING_LANGUAGES_DIRECTORY}/module.map
    COMMENT "Go module ${NAME} ${A_VERSION}" VERBATIM)
  grayling_end_foreign()
endfunction()

function(grayling_add_rust_module NAME)
  grayling_begin_foreign(grayling_add_rust_module ${NAME} GRAYLING_RUSTC "" "SOURCES;FLAGS" ${ARGN})
  if(NOT A_SOURCES)
    message(FATAL_ERROR "grayling_add_rust_module(${NAME}): SOURCES is required; the first is the root of the crate")
  endif()
  list(TRANSFORM A_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
  list(GET A_SOURCES 0 root)
  set(kit ${GRAYLING_LANGUAGES_DIRECTORY}/rust/grayling.rs)
  set(flags --edition 2021 -C opt-level=2 -C panic=unwind -C strip=debuginfo) # symbols stay for backtraces
  string(MAKE_C_IDENTIFIER ${NAME} crate)
  list(TRANSFORM GRAYLING_FOREIGN_LINK PREPEND "-Clink-arg=" OUTPUT_VARIABLE link)
  add_custom_command(OUTPUT ${file}
    COMMAND ${GRAYLING_RUSTC} ${flags} --crate-name grayling --crate-type rlib ${kit} -o ${work}/libgrayling.rlib
    COMMAND ${GRAYLING_RUSTC} ${flags} --crate-name ${crate} --crate-type cdylib --extern grayling=${work}/libgrayling.rlib ${A_FLAGS}
      -C linker=${CMAKE_C_COMPILER} -C link-arg=$<TARGET_OBJECTS:${target}-contract> ${link} ${root} -o ${file}
    DEPENDS ${A_SOURCES} ${kit} ${target}-contract $<TARGET_OBJECTS:${target}-contract>
    COMMENT "Rust module ${NAME} ${A_VERSION}" VERBATIM)
  grayling_end_foreign()
endfunction()
