declare const brand: unique symbol;

/** A `Base` that only its own parser makes: one brand passed for another does not compile. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
