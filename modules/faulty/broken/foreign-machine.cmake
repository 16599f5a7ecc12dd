# faulty-aarch64-1.0.0.so: a sound module for a machine that this is not. Left out where there is no cross compiler.
find_program(GRAYLING_AARCH64_CC aarch64-linux-gnu-gcc)
mark_as_advanced(GRAYLING_AARCH64_CC)
if(NOT GRAYLING_AARCH64_CC OR CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  return()
endif()

function(foreign_file NAME VERSION DIRECTORY)
  set(modules ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../..)
  set(out ${DIRECTORY}/${NAME}-${VERSION}.so)
  set(note ${CMAKE_CURRENT_BINARY_DIR}/${NAME}-aarch64.note.c)
  faulty_contract(${NAME} yaml)
  file(MAKE_DIRECTORY ${DIRECTORY})
  add_custom_command(OUTPUT ${out}
    COMMAND grayling-contract --module ${NAME} --version ${VERSION} --output ${note} ${yaml}
    COMMAND ${GRAYLING_AARCH64_CC} -shared -nostdlib -fPIC -fvisibility=hidden -O2 -Wl,--build-id=sha1 -Wl,-z,defs
      -Wl,--version-script=${modules}/sdk/module.map -I${modules}/include
      ${CMAKE_CURRENT_SOURCE_DIR}/body.c ${note} -o ${out}
    DEPENDS grayling-contract ${yaml} body.c ${modules}/sdk/module.map VERBATIM)
  add_custom_target(${NAME}-${VERSION}-aarch64 ALL DEPENDS ${out})
  set_property(GLOBAL APPEND PROPERTY GRAYLING_MODULES ${NAME}-${VERSION}-aarch64)
endfunction()

foreign_file(faulty-aarch64 1.0.0 ${CMAKE_BINARY_DIR}/modules)
foreign_file(faulty 2.0.0 ${CMAKE_BINARY_DIR}/modules/next/aarch64)
