# grayling_add_module(NAME VERSION x.y.z SOURCES file... CONTRACT module.yaml
#                     [DEFINES name=value...] [LINK_OPTIONS option...] [LINK_LIBRARIES lib...]
#                     [OUTPUT_DIRECTORY dir] [PAD_BYTES n] [NO_CONTRACT])
#
# Builds the Grayling module {NAME}-{VERSION}.so, without "lib", into ${CMAKE_BINARY_DIR}/modules or OUTPUT_DIRECTORY.
# The target is called {NAME}-{VERSION}, in another OUTPUT_DIRECTORY {NAME}-{VERSION}-{last part of it}.
#   VERSION      stands in the contract in place of the version in module.yaml, so that one file serves several versions
#   PAD_BYTES    adds so many bytes of read-only data (to try the transport of larger files)
#   NO_CONTRACT  leaves the ELF note out: a host refuses such a file (to test hosts, and for notes written by hand)
# The global property GRAYLING_MODULES lists the targets. Modules get their own hardening and are never sanitized, whatever the project around them does: sanitized and plain
# hosts load the same file. Go and Rust: GraylingLanguages.cmake.
# Works in Grayling's tree and, by find_package(Grayling), outside of it.
include_guard(GLOBAL)
include(CheckCCompilerFlag)

check_c_compiler_flag(-fcf-protection=full GRAYLING_HAS_CF_PROTECTION)
check_c_compiler_flag(-mno-omit-leaf-frame-pointer GRAYLING_HAS_LEAF_FRAME_POINTER)
check_c_compiler_flag(-fstack-clash-protection GRAYLING_HAS_STACK_CLASH_PROTECTION)

# Adds the C source of the contract's note to a module target; see grayling-contract --help.
function(grayling_add_contract TARGET NAME VERSION CONTRACT)
  get_filename_component(yaml ${CONTRACT} ABSOLUTE)
  set(note ${CMAKE_CURRENT_BINARY_DIR}/${TARGET}.note.c)
  add_custom_command(OUTPUT ${note}
    COMMAND Grayling::grayling-contract --module ${NAME} --version ${VERSION} --output ${note} ${yaml}
    DEPENDS ${yaml} Grayling::grayling-contract
    COMMENT "Contract of ${NAME} ${VERSION}" VERBATIM)
  target_sources(${TARGET} PRIVATE ${note})
endfunction()

# How a module's target is called, and where its file goes.
function(grayling_module_place NAME VERSION OUTPUT_DIRECTORY TARGET DIRECTORY)
  set(target ${NAME}-${VERSION})
  set(directory ${CMAKE_BINARY_DIR}/modules)
  if(OUTPUT_DIRECTORY AND NOT OUTPUT_DIRECTORY STREQUAL directory)
    set(directory ${OUTPUT_DIRECTORY})
    get_filename_component(last ${directory} NAME)
    string(APPEND target -${last})
  endif()
  set(${TARGET} ${target} PARENT_SCOPE)
  set(${DIRECTORY} ${directory} PARENT_SCOPE)
endfunction()

function(grayling_module_flags TARGET)
  set_target_properties(${TARGET} PROPERTIES POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${TARGET} PRIVATE -fno-sanitize=all -fstack-protector-strong -fno-omit-frame-pointer
    $<$<BOOL:${GRAYLING_HAS_LEAF_FRAME_POINTER}>:-mno-omit-leaf-frame-pointer>
    $<$<BOOL:${GRAYLING_HAS_STACK_CLASH_PROTECTION}>:-fstack-clash-protection>
    $<$<BOOL:${GRAYLING_HAS_CF_PROTECTION}>:-fcf-protection=full>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
  target_link_options(${TARGET} PRIVATE -fno-sanitize=all -Wl,-z,defs -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack
    -Wl,-z,separate-code -Wl,--build-id=sha1 -Wl,--as-needed
    -Wl,--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/module.map)
  set_property(TARGET ${TARGET} APPEND PROPERTY LINK_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/module.map)
endfunction()

function(grayling_add_module NAME)
  cmake_parse_arguments(A "NO_CONTRACT" "VERSION;CONTRACT;OUTPUT_DIRECTORY;PAD_BYTES"
    "SOURCES;DEFINES;LINK_OPTIONS;LINK_LIBRARIES" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "grayling_add_module(${NAME}): unknown arguments: ${A_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT A_VERSION OR NOT A_SOURCES)
    message(FATAL_ERROR "grayling_add_module(${NAME}): VERSION and SOURCES are required")
  endif()
  if(NOT A_CONTRACT AND NOT A_NO_CONTRACT)
    message(FATAL_ERROR "grayling_add_module(${NAME}): expected CONTRACT module.yaml; a host refuses a module without one")
  endif()

  grayling_module_place(${NAME} ${A_VERSION} "${A_OUTPUT_DIRECTORY}" target directory)
  add_library(${target} MODULE ${A_SOURCES})
  set_property(GLOBAL APPEND PROPERTY GRAYLING_MODULES ${target})
  set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX .so OUTPUT_NAME ${NAME}-${A_VERSION} NO_SONAME ON
    LIBRARY_OUTPUT_DIRECTORY ${directory} SKIP_BUILD_RPATH ON)
  target_compile_definitions(${target} PRIVATE GRAYLING_MODULE_NAME="${NAME}" GRAYLING_MODULE_VERSION="${A_VERSION}"
    ${A_DEFINES})
  grayling_module_flags(${target})
  target_link_libraries(${target} PRIVATE Grayling::module ${A_LINK_LIBRARIES})
  target_link_options(${target} PRIVATE ${A_LINK_OPTIONS})
  if(NOT A_NO_CONTRACT)
    grayling_add_contract(${target} ${NAME} ${A_VERSION} ${A_CONTRACT})
  endif()
  if(A_PAD_BYTES)
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/padding.c)
    target_compile_definitions(${target} PRIVATE GRAYLING_PAD_BYTES=${A_PAD_BYTES})
  endif()
endfunction()

include(${CMAKE_CURRENT_LIST_DIR}/GraylingLanguages.cmake)
