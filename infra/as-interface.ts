/** As `Interface`, but for properties that may be `undefined` where they may be absent. */
type Loose<Interface> = {
  [Name in keyof Interface]: object extends Pick<Interface, Name>
    ? Interface[Name] | undefined
    : Interface[Name];
};

/**
 * A construct as the interface that it implements. CDK's interfaces say `name?: string` where their classes say `name: string | undefined`,
 * which the compiler tells apart here (exactOptionalPropertyTypes) and so takes no such class for its interface.
 */
export function asInterface<Interface>(construct: Loose<Interface>): Interface {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- CDK treats what is undefined as absent
  return construct as Interface;
}
