/* For native tests only: stands where a module has its component type. */

void __component_type_object_force_link_policy(void);

void __component_type_object_force_link_policy(void) {}
